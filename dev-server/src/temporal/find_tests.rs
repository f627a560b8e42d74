use std::{fs, sync::Mutex, time::SystemTime};

use tempfile::TempDir;

use super::*;

const GOOD: &str = "temporal version 1.5.1 (Server 1.29.1, UI 2.42.1)";
const OLD: &str = "temporal version 1.1.0 (Server 1.24.2, UI 2.30.3)";

/// A machine of its own, with the folders everything is looked for in.
struct Machine {
    folder: TempDir,
    options: FindOptions,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = FindOptions {
            explicit: None,
            search_path: vec![folder.path().join("bin")],
            cache: folder.path().join("cache"),
            sdk_cache: folder.path().join("tmp"),
            download: false,
            build: false,
        };
        Self { folder, options }
    }

    /// Puts a script there. Another process writes it: a file that we hold open for writing while
    /// another test starts a process cannot be run.
    fn script(&self, place: &str, body: &str) -> PathBuf {
        let path = self.folder.path().join(place);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let written = std::process::Command::new("sh")
            .args([
                "-c",
                r#"printf '#!/bin/sh\n%s\n' "$1" > "$2" && chmod +x "$2""#,
                "sh",
                body,
            ])
            .arg(&path)
            .status()
            .unwrap();
        assert!(written.success());
        path
    }

    fn temporal(&self, place: &str, version: &str) -> PathBuf {
        self.script(place, &format!("echo '{version}'"))
    }

    async fn find(&self) -> Result<TemporalCli, FindError> {
        find(&self.options, &|_| {}).await
    }
}

#[tokio::test]
async fn each_place_is_taken_before_the_ones_behind_it() {
    let mut machine = Machine::new();
    let named = machine.temporal("named/temporal", GOOD);
    let on_path = machine.temporal("bin/temporal", GOOD);
    let cached = machine.temporal("cache/temporal-v1.5.1", GOOD);
    let of_sdk = machine.temporal("tmp/temporal-sdk-rust-1.1.1", GOOD);
    machine.options.explicit = Some(named.clone());
    let mut found = Vec::new();
    for path in [&named, &on_path, &cached, &of_sdk] {
        let cli = machine.find().await.unwrap();
        assert_eq!((&cli.path, cli.server_version.as_str()), (path, "1.29.1"));
        found.push(cli.source);
        machine.options.explicit = None;
        fs::remove_file(path).unwrap();
    }
    assert_eq!(
        found,
        [
            Source::Variable,
            Source::Path,
            Source::Cache,
            Source::Download
        ]
    );
    assert!(machine.find().await.is_err());
}

#[tokio::test]
async fn the_newest_complete_download_of_the_sdk_is_taken() {
    let machine = Machine::new();
    let times = [
        ("temporal-sdk-rust-0.9.0", 1),
        ("temporal-sdk-rust-1.1.1", 3),
        ("temporal-sdk-rust-1.1.0", 2),
        ("temporal-sdk-rust-1.2.0.downloading", 4),
        ("temporal-sdk-go-1.30.0", 5),
    ];
    for (name, at) in times {
        let path = machine.temporal(&format!("tmp/{name}"), GOOD);
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
        // For reading: see `Machine::script`.
        let file = fs::File::open(path).unwrap();
        file.set_modified(at).unwrap();
    }
    let found = machine.find().await.unwrap();
    assert!(found.path.ends_with("temporal-sdk-rust-1.1.1"), "{found:?}");
}

#[tokio::test]
async fn our_own_script_on_path_is_passed_over_and_refused_when_it_is_named() {
    let mut machine = Machine::new();
    let of_ours = machine.folder.path().join("ours");
    fs::create_dir(&of_ours).unwrap();
    let script = of_ours.join("temporal");
    crate::links::script(&script, &script, "TEMPORAL_ADDRESS", "127.0.0.1:1").unwrap();
    let behind = machine.temporal("bin/temporal", GOOD);
    machine.options.search_path.insert(0, of_ours);
    assert_eq!(machine.find().await.unwrap().path, behind);
    machine.options.explicit = Some(script);
    let text = machine.find().await.unwrap_err().to_string();
    assert!(text.contains("the script of autoops-dev"), "{text}");
}

#[tokio::test]
async fn a_relative_path_works_from_every_folder() {
    let mut machine = Machine::new();
    let path = machine.temporal("bin/temporal", GOOD);
    let here = std::env::current_dir().unwrap();
    let up: PathBuf = here.ancestors().skip(1).map(|_| "..").collect();
    machine.options.explicit = Some(up.join(path.strip_prefix("/").unwrap()));
    let found = machine.find().await.unwrap().path;
    assert!(found.is_absolute() && found.canonicalize().unwrap() == path.canonicalize().unwrap());
}

#[tokio::test]
async fn one_that_is_too_old_is_passed_over_and_named() {
    let machine = Machine::new();
    machine.temporal("bin/temporal", OLD);
    let text = machine.find().await.unwrap_err().to_string();
    assert!(
        text.contains("has server 1.24.2, 1.29 or later is needed"),
        "{text}"
    );
    for choice in ["on PATH", "set AUTOOPS_TEMPORAL_CLI", "install Go"] {
        assert!(text.contains(choice), "{text}");
    }
    let cached = machine.temporal("cache/temporal-v1.5.1", GOOD);
    assert_eq!(machine.find().await.unwrap().path, cached);
}

#[tokio::test]
async fn the_one_that_was_named_is_never_replaced_in_silence() {
    let mut machine = Machine::new();
    machine.temporal("bin/temporal", GOOD);
    for (place, body, said) in [
        ("gone", None, "cannot be used"),
        ("old", Some(format!("echo '{OLD}'")), "1.24.2"),
        ("other", Some("echo hello".to_owned()), "is no Temporal CLI"),
        ("broken", Some("exit 3".to_owned()), "exit status: 3"),
    ] {
        if let Some(body) = body {
            machine.script(place, &body);
        }
        machine.options.explicit = Some(machine.folder.path().join(place));
        let text = machine.find().await.unwrap_err().to_string();
        assert!(
            text.contains(said) && text.contains(VARIABLE),
            "{place}: {text}"
        );
    }
}

#[tokio::test]
async fn without_any_it_is_built_once_with_go() {
    let mut machine = Machine::new();
    machine.options.build = true;
    machine.script(
        "bin/go",
        &format!(
            r#"echo "$@" >> "{0}/calls"; [ -z "$GOOS" ] || exit 9
               printf '#!/bin/sh\necho "{GOOD}"\n' > "$GOBIN/temporal"; chmod +x "$GOBIN/temporal""#,
            machine.folder.path().display()
        ),
    );
    let said = Mutex::new(Vec::new());
    let hear = |line: &str| said.lock().unwrap().push(line.to_owned());
    let cli = find(&machine.options, &hear).await.unwrap();
    assert_eq!(
        (cli.source, &cli.path),
        (
            Source::Built,
            &machine.options.cache.join("temporal-v1.5.1")
        )
    );
    assert!(said.lock().unwrap()[0].contains("building Temporal CLI v1.5.1"));
    assert_eq!(machine.find().await.unwrap().source, Source::Cache);
    let calls = fs::read_to_string(machine.folder.path().join("calls")).unwrap();
    assert_eq!(
        calls,
        "install -v github.com/temporalio/cli/cmd/temporal@v1.5.1\n"
    );
    // Nothing half-built stays behind.
    let names = fs::read_dir(&machine.options.cache)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(
        names
            .into_iter()
            .all(|name| !name.to_string_lossy().starts_with("building-"))
    );
}

#[tokio::test]
async fn two_at_once_build_it_once() {
    let mut machine = Machine::new();
    machine.options.build = true;
    machine.script(
        "bin/go",
        &format!(
            r#"echo call >> "{0}/calls"; sleep 0.3
               printf '#!/bin/sh\necho "{GOOD}"\n' > "$GOBIN/temporal"; chmod +x "$GOBIN/temporal""#,
            machine.folder.path().display()
        ),
    );
    let (one, two) = tokio::join!(machine.find(), machine.find());
    let mut sources = [one.unwrap().source, two.unwrap().source];
    sources.sort_by_key(|source| *source != Source::Built);
    assert_eq!(sources, [Source::Built, Source::Cache]);
    assert_eq!(
        fs::read_to_string(machine.folder.path().join("calls")).unwrap(),
        "call\n"
    );
}

#[tokio::test]
async fn a_failed_build_says_what_go_said_last() {
    let mut machine = Machine::new();
    machine.options.build = true;
    machine.script("bin/go", "echo 'dial tcp: no route to host' >&2; exit 1");
    let text = machine.find().await.unwrap_err().to_string();
    assert!(text.contains("no route to host"), "{text}");
}

#[test]
fn the_cache_is_where_the_user_wants_it() {
    let with = |variables: &[(&str, &str)]| {
        cache_folder(|name| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| PathBuf::from(value))
        })
    };
    assert_eq!(
        with(&[("AUTOOPS_CACHE", "/c"), ("HOME", "/h")]),
        Path::new("/c")
    );
    assert_eq!(
        with(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]),
        Path::new("/x/autoops")
    );
    assert_eq!(with(&[("HOME", "/h")]), Path::new("/h/.cache/autoops"));
}

#[test]
fn versions_are_read_by_number_and_not_by_letter() {
    assert_eq!(server_version(GOOD).as_deref(), Some("1.29.1"));
    assert!(numbers("1.100.0").unwrap() > OLDEST);
    assert_eq!(
        server_version("temporal version 9 (Server dev, UI 1)"),
        None
    );
}
