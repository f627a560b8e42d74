//! Asks the real service for the devices of one client.
//!
//! `SUPEROPS_SUBDOMAIN=acme SUPEROPS_TOKEN=… SUPEROPS_CLIENT=… [SUPEROPS_URL=…] cargo run -p autoops-clients --example superops_probe`

use std::{env, error::Error, sync::Arc};

use autoops_clients::{
    rate_limit::Unlimited,
    superops::{SuperOps, SuperOpsConfig},
};
use jiff::Timestamp;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let need = |name: &str| env::var(name).map_err(|_| format!("set {name}"));
    let mut config = SuperOpsConfig {
        subdomain: need("SUPEROPS_SUBDOMAIN")?,
        token: need("SUPEROPS_TOKEN")?.as_str().into(),
        ..SuperOpsConfig::default()
    };
    if let Ok(url) = env::var("SUPEROPS_URL") {
        config.base_url = url;
    }
    let client_id = need("SUPEROPS_CLIENT")?.parse()?;
    let superops = SuperOps::new(config, Arc::new(Unlimited))?;
    let client = superops.get_client(&client_id).await?;
    println!("{} ({})", client.name, client.id);
    for page in 1.. {
        let devices = superops
            .list_devices(&client_id, page, Timestamp::now())
            .await?;
        for device in devices.items {
            let state = if device.online { "online" } else { "offline" };
            println!(
                "{}  {:8}  {:?}  {}  {:?}",
                device.id, state, device.platform, device.name, device.tags
            );
        }
        if !devices.has_more {
            break;
        }
    }
    Ok(())
}
