//! What the script of a simulated device collects in mode `evidence`, packed as the real one does.

use std::io::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use domain::{
    evidence::{EvidenceDocument, EvidenceSection, FORMAT, MAX_ENCODED_BYTES},
    ids::JobId,
};
use flate2::{Compression, write::GzEncoder};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{
    arguments::ScriptArgs,
    device::{Actual, DeviceState},
};

/// Programs that run on every simulated device: parent, path, command line.
const PROCESSES: [(u32, u32, &str, &str); 5] = [
    (4, 0, "System", ""),
    (612, 4, r"C:\Windows\System32\wininit.exe", "wininit.exe"),
    (
        760,
        612,
        r"C:\Windows\System32\services.exe",
        "services.exe",
    ),
    (
        1204,
        760,
        r"C:\Windows\System32\svchost.exe",
        "svchost.exe -k netsvcs -p",
    ),
    (
        3120,
        760,
        r"C:\Program Files\SuperOps\agent.exe",
        "agent.exe --service",
    ),
];

/// Collects from a device; as the field `evidence` of a report. `too_large` does not keep to the limits
/// that the real script has.
pub(super) fn collect(
    state: &DeviceState,
    args: &ScriptArgs,
    now: Timestamp,
    too_large: bool,
) -> String {
    let section = |name: &str, lines: Vec<String>| EvidenceSection {
        name: name.to_owned(),
        truncated: false,
        lines,
    };
    let processes = PROCESSES
        .iter()
        .map(|(id, parent, path, line)| format!("{id}\t{parent}\t{path}\t{line}"));
    let installed = state.patches.iter();
    let installed = installed.filter(|(_, entry)| entry.actual == Actual::Installed);
    let stopped = state.broken_by.values().flat_map(|broken| &broken.services);
    let stopped = stopped.chain(&state.stopped_services);
    let mut sections = vec![
        section("system", vec![format!("boot time\t{}", state.booted_at)]),
        section("processes", processes.collect()),
        section(
            "connections",
            vec!["tcp\t0.0.0.0:135\tlisten\t1204".to_owned()],
        ),
        section(
            "services",
            stopped.map(|name| format!("{name}\tstopped")).collect(),
        ),
        section(
            "updates",
            installed.map(|(kb, _)| format!("KB{kb}")).collect(),
        ),
    ];
    if too_large {
        sections.push(EvidenceSection {
            truncated: true,
            ..section("noise", noise(&args.job_id))
        });
    }
    let document = EvidenceDocument {
        format: FORMAT,
        job_id: args.job_id.clone(),
        device: args.device.clone(),
        taken_at: now.to_string(),
        sections,
    };
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    // Nothing fails when it is written to memory.
    let _ = packer.write_all(&serde_json::to_vec(&document).unwrap_or_default());
    STANDARD.encode(packer.finish().unwrap_or_default())
}

/// Lines that cannot be packed to less than the limit, the same for the same job.
fn noise(job: &JobId) -> Vec<String> {
    let lines = MAX_ENCODED_BYTES / 32;
    let line = |n: usize| hex::encode(Sha256::digest(format!("{job}/{n}")));
    (0..lines).map(line).collect()
}
