//! The simulators of the outside systems, together.

use anyhow::Context;

use crate::{
    data_dir::DataDir,
    demo,
    options::Ports,
    sim::{
        RunningSim,
        bedrock::{self, BedrockSimOptions},
        nvd::{self, NvdSimOptions},
        superops::{self, FleetSpec, SuperOpsHandle, SuperOpsSim, SuperOpsSimOptions},
    },
};

/// All simulators, listening.
#[derive(Debug)]
pub struct Simulators {
    superops: SuperOpsSim,
    nvd: RunningSim,
    bedrock: RunningSim,
}

impl Simulators {
    /// Starts all of them; the devices go on from the data folder.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn start(
        ports: &Ports,
        fleet: FleetSpec,
        speed: f64,
        data: &DataDir,
    ) -> anyhow::Result<Self> {
        Self::start_with(ports, Self::superops(ports, fleet, speed, data)).await
    }

    /// Returns how SuperOps is simulated in the demo.
    #[must_use]
    pub fn superops(
        ports: &Ports,
        fleet: FleetSpec,
        speed: f64,
        data: &DataDir,
    ) -> SuperOpsSimOptions {
        SuperOpsSimOptions {
            port: ports.superops,
            token: demo::TOKEN.to_owned(),
            subdomain: demo::SUBDOMAIN.to_owned(),
            requests_per_minute: Some(demo::requests_per_minute(speed)),
            speed,
            fleet,
            state_file: Some(data.file("superops.json")),
        }
    }

    /// Starts all of them, with another SuperOps than that of the demo.
    ///
    /// # Errors
    /// When one does not start.
    pub async fn start_with(ports: &Ports, superops: SuperOpsSimOptions) -> anyhow::Result<Self> {
        let superops = superops::start(superops);
        let nvd = nvd::start(NvdSimOptions {
            port: ports.nvd,
            api_key: Some(demo::NVD_KEY.to_owned()),
            limit: true,
        });
        let bedrock = bedrock::start(BedrockSimOptions {
            port: ports.bedrock,
            reasoning_every: 3,
        });
        Ok(Self {
            superops: superops.await.context("simulator of SuperOps")?,
            nvd: nvd.await.context("simulator of NVD")?,
            bedrock: bedrock.await.context("simulator of Bedrock")?,
        })
    }

    /// Handles into SuperOps.
    #[must_use]
    pub fn superops_handle(&self) -> SuperOpsHandle {
        self.superops.handle()
    }

    /// GraphQL endpoint of SuperOps.
    #[must_use]
    pub fn superops_url(&self) -> String {
        self.superops.url()
    }

    /// Base address of NVD.
    #[must_use]
    pub fn nvd_url(&self) -> String {
        self.nvd.url.clone()
    }

    /// Base address of Bedrock.
    #[must_use]
    pub fn bedrock_url(&self) -> String {
        self.bedrock.url.clone()
    }

    /// Stops all of them; the state of the devices is saved.
    pub async fn stop(self) {
        self.superops.stop().await;
        self.nvd.stop().await;
        self.bedrock.stop().await;
    }
}
