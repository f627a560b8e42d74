use domain::triage::Expectation;

use super::*;

#[tokio::test]
async fn a_server_that_was_patched_in_silence_is_the_first_suspect() {
    let world = World::new().await;
    world.seed(3).await;
    let alerts = &world.deps.store.alerts;
    let now = world.deps.clock.now();
    let on = |machine: &str| (machine.to_owned(), "3".to_owned());
    let topology = StatedTopology {
        client: client(),
        by: "lee".to_owned(),
        at: now,
        depends_on: vec![on("1"), on("2")],
    };
    alerts.put_topology(topology).await.unwrap();
    let wave = Expectation {
        plan: "nightly-7".parse().unwrap(),
        ring: 0,
        attempt: 1,
        kbs: vec!["KB5040442".parse().unwrap()],
        device: "3".parse().unwrap(),
        symptoms: vec![],
        from: now - SignedDuration::from_mins(70),
        until: now - SignedDuration::from_mins(50),
    };
    alerts.put_expectation(wave).await.unwrap();
    let incident = open(
        &world,
        12,
        &["Mapped drive is unreachable", "Mapped drive is unreachable"],
    )
    .await;
    let report = explain(&world, &incident).await;
    let suspect = report
        .suspects
        .iter()
        .find(|one| one.machine == "3")
        .unwrap();
    assert!(suspect.because[0].text.contains("KB5040442"), "{suspect:?}");
    assert_eq!(suspect.because[0].evidence, "wave_2");
}

#[tokio::test]
async fn a_script_that_ran_on_a_suspect_ranks_it_first() {
    let world = World::new().await;
    world.seed(2).await;
    let incident = open(&world, 12, &["Service stopped", "Service stopped"]).await;
    let before = explain(&world, &incident).await;
    assert_eq!(before.suspects[0].machine, "2", "by its wave");
    let at = world.deps.clock.now();
    let ran = SignedDuration::from_mins(57);
    let input = NarrateInput {
        incident: incident.clone(),
        version: 1,
        looked: vec![Looked {
            device: "1".parse().unwrap(),
            figures: None,
            scripts: Some(ScriptRunsResult {
                at,
                runs: ScriptRuns {
                    runs: 1,
                    failed: 0,
                    newest: Some(at - ran),
                    times: vec![at - ran],
                },
            }),
            metrics: None,
        }],
        unasked: None,
    };
    let run = environment(IncidentActivities::new(&world.deps));
    let report = run.run(IncidentActivities::narrate, input).await.unwrap();
    let first = &report.suspects[0];
    assert_eq!(
        (first.machine.as_str(), first.because[0].evidence.as_str()),
        ("1", "scripts_1")
    );
    assert!(report.told.is_some());
    assert_eq!(
        report
            .evidence
            .iter()
            .filter(|one| one.id == "scripts_1")
            .count(),
        1
    );
}
