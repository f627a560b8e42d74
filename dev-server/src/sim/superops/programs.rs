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
        DeviceKind::Network => return Vec::new(),
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

#[cfg(test)]
mod tests {
    use domain::{
        device::{Device, Platform},
        software::{Catalogue, Matcher, Program, SoftwareList, Tally},
        vulnerability::{kev::Histories, nvd_json},
    };
    use jiff::Timestamp;

    use super::*;
    use crate::sim::{
        nvd::{NvdSimOptions, start},
        superops::FleetSpec,
    };

    #[tokio::test]
    async fn programs_of_the_demo_have_what_the_simulated_nvd_says_of_them() {
        let sim = start(NvdSimOptions::default()).await.unwrap();
        let url = format!("{}/rest/json/cves/2.0", sim.url);
        let body = reqwest::get(url).await.unwrap().bytes().await.unwrap();
        let now = "2026-11-28T00:00:00Z".parse::<Timestamp>().unwrap();
        let page = nvd_json::read(&body, now).unwrap();
        let mut matcher = Matcher::new(Catalogue::built_in(), Histories::default(), now);
        page.records
            .into_iter()
            .for_each(|record| matcher.add(record));
        let mut tally = Tally::default();
        for client in FleetSpec::demo().clients {
            for spec in &client.devices {
                let platform = match spec.platform {
                    DeviceKind::Workstation => Platform::WindowsWorkstation,
                    DeviceKind::Server => Platform::WindowsServer,
                    DeviceKind::Mac => Platform::Mac,
                    DeviceKind::Network => Platform::Other,
                };
                let (id, client) = (spec.id.parse().unwrap(), client.id.parse().unwrap());
                let device = Device::new(id, client, platform, [].into(), now);
                let programs = of(spec).into_iter().map(|program| Program {
                    name: program.name,
                    version: program.version,
                });
                let list = SoftwareList {
                    device: device.id.clone(),
                    client: device.client.clone(),
                    read_at: now,
                    programs: programs.collect(),
                    flaws: 0,
                    beyond: 0,
                };
                tally.add(&mut matcher, &device, &list);
            }
        }
        let found = tally.finish(&matcher);
        println!("{}", serde_json::to_string_pretty(&found).unwrap());
        assert_eq!(found.devices, 300);
        let products: Vec<String> = found
            .products
            .iter()
            .map(|one| one.product.to_string())
            .collect();
        for product in [
            "google:chrome",
            "mozilla:firefox",
            "7-zip:7-zip",
            "adobe:acrobat_dc",
            "putty:putty",
            "notepad-plus-plus:notepad++",
            "videolan:vlc_media_player",
            "rarlab:winrar",
            "zoom:workplace_desktop",
        ] {
            assert!(
                products.iter().any(|found| found == product),
                "{product} in {products:?}"
            );
        }
        // What is exploited comes first.
        let first_other = found.products.iter().position(|one| !one.in_kev).unwrap();
        assert!(first_other > 0 && found.products[first_other..].iter().all(|one| !one.in_kev));
        let chrome = found
            .products
            .iter()
            .find(|one| one.product.product == "chrome");
        assert_eq!(
            chrome.unwrap().fixed_in.as_deref(),
            Some("125.0.6422.112"),
            "closes the newest of them"
        );
        let unmatched: Vec<&str> = found
            .unmatched_names
            .iter()
            .map(|one| one.name.as_str())
            .collect();
        assert!(unmatched.contains(&"Larkfield Endpoint Agent"));
        sim.stop().await;
    }
}
