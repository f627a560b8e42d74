//! The simulators of the outside systems, together.

use anyhow::Context;

use crate::{
    data_dir::DataDir,
    demo,
    options::Ports,
    sim::{
        RunningSim,
        bedrock::{self, BedrockSimOptions},
        intel::{cve_services, epss, kev, msrc},
        nvd::{self, NvdSimOptions},
        prometheus::{self, PrometheusSimOptions},
        superops::{self, FleetSpec, SuperOpsHandle, SuperOpsSim, SuperOpsSimOptions},
    },
};

/// All simulators, listening.
#[derive(Debug)]
pub struct Simulators {
    superops: SuperOpsSim,
    nvd: RunningSim,
    kev: RunningSim,
    epss: RunningSim,
    msrc: RunningSim,
    cve_services: RunningSim,
    bedrock: RunningSim,
    prometheus: RunningSim,
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
        let prometheus = prometheus::start(PrometheusSimOptions {
            port: ports.prometheus,
            token: Some(demo::PROMETHEUS_KEY.to_owned()),
        });
        let kev = kev::start(ports.kev);
        let epss = epss::start(ports.epss);
        let msrc = msrc::start(ports.msrc);
        let cve_services = cve_services::start(ports.cve_services);
        Ok(Self {
            superops: superops.await.context("simulator of SuperOps")?,
            nvd: nvd.await.context("simulator of NVD")?,
            kev: kev.await.context("simulator of KEV")?,
            epss: epss.await.context("simulator of EPSS")?,
            msrc: msrc.await.context("simulator of MSRC")?,
            cve_services: cve_services.await.context("simulator of CVE Services")?,
            bedrock: bedrock.await.context("simulator of Bedrock")?,
            prometheus: prometheus.await.context("simulator of Prometheus")?,
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

    /// Base address of CISA's catalogue of known exploited vulnerabilities.
    #[must_use]
    pub fn kev_url(&self) -> String {
        self.kev.url.clone()
    }

    /// Base address of EPSS.
    #[must_use]
    pub fn epss_url(&self) -> String {
        self.epss.url.clone()
    }

    /// Base address of Microsoft's security updates.
    #[must_use]
    pub fn msrc_url(&self) -> String {
        self.msrc.url.clone()
    }

    /// Base address of CVE Services.
    #[must_use]
    pub fn cve_services_url(&self) -> String {
        self.cve_services.url.clone()
    }

    /// Base address of Bedrock.
    #[must_use]
    pub fn bedrock_url(&self) -> String {
        self.bedrock.url.clone()
    }

    /// Base address of Prometheus.
    #[must_use]
    pub fn prometheus_url(&self) -> String {
        self.prometheus.url.clone()
    }

    /// Stops all of them; the state of the devices is saved.
    pub async fn stop(self) {
        self.superops.stop().await;
        self.nvd.stop().await;
        self.kev.stop().await;
        self.epss.stop().await;
        self.msrc.stop().await;
        self.cve_services.stop().await;
        self.bedrock.stop().await;
        self.prometheus.stop().await;
    }
}
