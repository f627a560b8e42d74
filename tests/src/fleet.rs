//! Devices of a whole-system test: nothing but what a deployment needs of them.

use dev_server::sim::superops::{ClientSpec, DeviceKind, DeviceSpec, SiteSpec};

/// Returns a client with one site, whose devices are workstations that are online and lack an update.
#[must_use]
pub fn client(id: &str, name: String, devices: &[String], kb: &str) -> ClientSpec {
    let site = format!("{id}000");
    let device = |id: &String| DeviceSpec {
        id: id.clone(),
        name: format!("PC-{id}"),
        site: site.clone(),
        platform: DeviceKind::Workstation,
        os: None,
        tags: vec![],
        online: true,
        missing: vec![kb.to_owned()],
        installed: vec![],
        software: None,
    };
    ClientSpec {
        id: id.to_owned(),
        name,
        devices: devices.iter().map(device).collect(),
        sites: vec![SiteSpec {
            id: site,
            name: "HQ".to_owned(),
            timezone_code: "Etc/UTC".to_owned(),
        }],
    }
}
