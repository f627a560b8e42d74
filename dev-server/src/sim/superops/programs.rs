//! Programs that a device has when its description names none: names and versions as Windows and macOS
//! show them, some of them old. Nothing is random: the same device has the same programs.

use super::fleet::{DeviceKind, DeviceSpec, ProgramSpec};

/// A program with versions of which devices have one.
type Known = (&'static str, &'static [&'static str]);

const WINDOWS: [Known; 6] = [
    (
        "Microsoft Edge",
        &["124.0.2478.80", "125.0.2535.51", "131.0.2903.63"],
    ),
    (
        "Google Chrome",
        &[
            "119.0.6045.160",
            "123.0.6312.86",
            "124.0.6367.201",
            "125.0.6422.113",
            "131.0.6778.86",
        ],
    ),
    ("7-Zip 24.08 (x64)", &["24.08"]),
    (
        "Microsoft Visual C++ 2015-2022 Redistributable (x64) - 14.38.33135",
        &["14.38.33135.0"],
    ),
    ("Microsoft Edge WebView2 Runtime", &["124.0.2478.80"]),
    ("Larkfield Endpoint Agent", &["4.11.2"]),
];

const WORKSTATION: [Known; 12] = [
    (
        "Microsoft 365 Apps for business - en-us",
        &["16.0.17328.20282", "16.0.17531.20152"],
    ),
    (
        "Adobe Acrobat (64-bit)",
        &["23.006.20380", "24.002.20736", "24.004.20272"],
    ),
    (
        "Mozilla Firefox (x64 en-US)",
        &["124.0.2", "126.0", "131.0", "133.0"],
    ),
    (
        "Zoom Workplace (64-bit)",
        &["5.16.10 (26186)", "5.17.29101", "6.2.50939"],
    ),
    ("Notepad++ (64-bit x64)", &["8.5.4", "8.6.4", "8.7.1"]),
    ("PuTTY release 0.80 (64-bit)", &["0.80.0.0"]),
    ("VLC media player", &["3.0.18", "3.0.20", "3.0.21"]),
    ("7-Zip 23.01 (x64)", &["23.01"]),
    ("WinRAR 6.22 (64-bit)", &["6.22.0"]),
    ("Java 8 Update 401 (64-bit)", &["8.0.4010.10"]),
    ("Python 3.11.4 (64-bit)", &["3.11.4150.0"]),
    ("TeamViewer", &["15.51.6"]),
];

const MAC: [Known; 5] = [
    ("Google Chrome", &["124.0.6367.201", "131.0.6778.86"]),
    ("Firefox", &["126.0", "133.0"]),
    ("zoom.us", &["5.16.6 (24712)", "6.2.6 (41824)"]),
    ("VLC", &["3.0.18", "3.0.21"]),
    ("Larkfield Endpoint Agent", &["4.11.2"]),
];

/// Returns what the device has.
pub(super) fn of(device: &DeviceSpec) -> Vec<ProgramSpec> {
    if let Some(stated) = &device.software {
        return stated.clone();
    }
    let number = device.id.parse::<u64>().unwrap_or_default() % 1_000_000;
    let all: Vec<&Known> = match device.platform {
        DeviceKind::Mac => MAC.iter().collect(),
        DeviceKind::Server => WINDOWS.iter().collect(),
        DeviceKind::Workstation => WINDOWS.iter().chain(&WORKSTATION).collect(),
    };
    let programs = (0..).zip(all).filter_map(|(place, (name, versions))| {
        // Two of three have it; the first six everybody.
        let has = place < 6 || (number + place) % 3 != 0;
        let choice = usize::try_from(number / 2 + place).unwrap_or_default();
        has.then(|| ProgramSpec {
            name: (*name).to_owned(),
            version: versions
                .get(choice % versions.len())
                .map(|v| (*v).to_owned()),
        })
    });
    programs.collect()
}
