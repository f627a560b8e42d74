//! Sources of vulnerability facts that need no key: CISA's catalogue of known exploited
//! vulnerabilities (KEV), FIRST's predictions (EPSS), Microsoft's security updates (MSRC CVRF), and
//! CVE records with the publisher's and CISA's analysts' containers (CVE Services).
//!
//! Each call is one HTTP request and first takes from the shared bucket of its source; nothing is
//! tried twice. Parts of an answer that cannot be read are named in it, the rest is kept.

mod catalogue;
mod config;
mod error;
mod feed;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use domain::{
    ids::CveId,
    vulnerability::{
        cve_json::{self, Reading},
        cvrf::{self, Document, Release},
        epss,
        kev::Kev,
    },
};
use jiff::Timestamp;

pub use catalogue::Catalogue;
pub use config::{FeedConfig, IntelConfig};
pub use error::{IntelError, IntelFailure};
pub use feed::Mark;

use self::feed::{Feed, Fetched};
use crate::{rate_limit::RateLimiter, store::Counters};

/// Most CVEs of one question to EPSS: their ids may have 2,000 characters together.
pub const MOST_PREDICTIONS: usize = 100;

/// A source; also the name of its bucket, its breaker and its section of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Upstream {
    /// CISA's catalogue.
    Kev,
    /// FIRST's predictions.
    Epss,
    /// Microsoft's security updates.
    Msrc,
    /// CVE records.
    CveServices,
}

impl Upstream {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Kev, Self::Epss, Self::Msrc, Self::CveServices];

    /// Returns its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kev => "kev",
            Self::Epss => "epss",
            Self::Msrc => "msrc",
            Self::CveServices => "cve_services",
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The sources.
#[derive(Debug)]
pub struct Intel {
    kev: Feed,
    epss: Feed,
    msrc: Feed,
    cve_services: Feed,
}

impl Intel {
    /// Checks the configuration and builds the clients; sends nothing.
    ///
    /// # Errors
    /// When the configuration cannot work.
    pub fn new(config: &IntelConfig, limiter: &Arc<dyn RateLimiter>) -> Result<Self, IntelError> {
        config
            .validate()
            .map_err(|problems| IntelError::new(Upstream::Kev, IntelFailure::Config(problems)))?;
        let feed = |upstream| Feed::new(upstream, config.of(upstream), Arc::clone(limiter));
        Ok(Self {
            kev: feed(Upstream::Kev)?,
            epss: feed(Upstream::Epss)?,
            msrc: feed(Upstream::Msrc)?,
            cve_services: feed(Upstream::CveServices)?,
        })
    }

    /// Lets other processes see which of them does not answer.
    #[must_use]
    pub fn sharing(mut self, counters: &Arc<dyn Counters>) -> Self {
        for feed in [
            &mut self.kev,
            &mut self.epss,
            &mut self.msrc,
            &mut self.cve_services,
        ] {
            feed.share(Arc::clone(counters));
        }
        self
    }

    /// Reads the catalogue; `None` when it is as we know it.
    ///
    /// # Errors
    /// See [`IntelFailure`].
    pub async fn kev(&self, known: &Mark) -> Result<Option<(Kev, Mark)>, IntelError> {
        let path = "/sites/default/files/feeds/known_exploited_vulnerabilities.json";
        match self.kev.get_if_changed(path, &[], known).await? {
            Fetched::Unchanged => Ok(None),
            Fetched::Body(body, mark) => match Kev::read(&body) {
                Ok(kev) => Ok(Some((kev, mark))),
                Err(error) => Err(IntelError::malformed(Upstream::Kev, &error)),
            },
        }
    }

    /// Asks for the predictions of up to [`MOST_PREDICTIONS`] CVEs; those nobody predicted are absent.
    ///
    /// # Errors
    /// See [`IntelFailure`].
    pub async fn epss(&self, cves: &[CveId], now: Timestamp) -> Result<epss::Answer, IntelError> {
        let ids: Vec<&str> = cves.iter().map(CveId::as_str).collect();
        let (ids, limit) = (ids.join(","), cves.len().to_string());
        let query = [("cve", ids.as_str()), ("limit", limit.as_str())];
        let body = self.epss.get("/data/v1/epss", &query).await?;
        epss::read(&body, now).map_err(|error| IntelError::malformed(Upstream::Epss, &error))
    }

    /// Lists Microsoft's documents, one a month; what could not be read is named in the second part.
    ///
    /// # Errors
    /// See [`IntelFailure`].
    pub async fn msrc_releases(&self) -> Result<(Vec<Release>, Vec<String>), IntelError> {
        let body = self.msrc.get("/cvrf/v3.0/updates", &[]).await?;
        cvrf::releases(&body).map_err(|error| IntelError::malformed(Upstream::Msrc, &error))
    }

    /// Reads one of Microsoft's documents by the id of its [`Release`].
    ///
    /// # Errors
    /// See [`IntelFailure`].
    pub async fn msrc_document(&self, id: &str, now: Timestamp) -> Result<Document, IntelError> {
        let path = format!("/cvrf/v3.0/cvrf/{id}");
        let body = self.msrc.get(&path, &[]).await?;
        cvrf::read(&body, now).map_err(|error| IntelError::malformed(Upstream::Msrc, &error))
    }

    /// Reads the record of a CVE; `None` when there is none (yet).
    ///
    /// # Errors
    /// See [`IntelFailure`].
    pub async fn cve_record(
        &self,
        id: &CveId,
        now: Timestamp,
    ) -> Result<Option<Reading>, IntelError> {
        let path = format!("/api/cve/{id}");
        let body = match self.cve_services.get(&path, &[]).await {
            Ok(body) => body,
            Err(IntelError {
                what: IntelFailure::NotFound,
                ..
            }) => return Ok(None),
            Err(error) => return Err(error),
        };
        match cve_json::read(&body, now) {
            Ok(reading) if reading.record.id == *id => Ok(Some(reading)),
            Ok(_) => Err(IntelError::malformed(
                Upstream::CveServices,
                &"another CVE than asked for",
            )),
            Err(error) => Err(IntelError::malformed(Upstream::CveServices, &error)),
        }
    }
}
