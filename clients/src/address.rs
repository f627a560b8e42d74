//! Which addresses may be given a secret.

use url::{Host, Url};

/// Returns true for an https address, and for http on this machine: a key must not cross a network
/// in the clear. Paths are appended to an address, so it has no query, and nobody logs in by it.
pub(crate) fn is_safe_address(text: &str) -> bool {
    let Some(url) = bare(text) else {
        return false;
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url))
}

/// Returns true for an address of this machine.
pub(crate) fn is_loopback_address(text: &str) -> bool {
    bare(text).is_some_and(|url| is_loopback(&url))
}

/// Returns true for an https address of another machine.
pub(crate) fn is_public_address(text: &str) -> bool {
    bare(text).is_some_and(|url| url.scheme() == "https" && !may_be_local(&url))
}

fn bare(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_bare = url.host().is_some()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none();
    is_bare.then_some(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Also what most machines, but not all, take for themselves.
fn may_be_local(url: &Url) -> bool {
    is_loopback(url)
        || match url.host() {
            Some(Host::Domain(name)) => name.trim_end_matches('.').ends_with("localhost"),
            Some(Host::Ipv4(ip)) => ip.is_unspecified(),
            Some(Host::Ipv6(ip)) => {
                ip.is_unspecified() || ip.to_ipv4_mapped().is_some_and(|ip| ip.is_loopback())
            }
            None => false,
        }
}

#[cfg(test)]
mod tests {
    use super::{is_public_address, is_safe_address};

    #[test]
    fn a_secret_goes_over_https_or_stays_on_this_machine() {
        for good in [
            "https://api.superops.ai/msp",
            "http://localhost:4010",
            "http://127.0.0.1:4010/msp",
            "http://[::1]:4010",
        ] {
            assert!(is_safe_address(good), "{good}");
        }
        for bad in [
            "",
            "api.superops.ai",
            "http://api.superops.ai",
            "http://localhost.example.com",
            "http://hooks.localhost",
            "http://0.0.0.0",
            "ftp://localhost",
            "https://user@api.superops.ai",
            "https://:secret@api.superops.ai",
            "https://api.superops.ai/msp?x=1",
            "file:///etc/passwd",
        ] {
            assert!(!is_safe_address(bad), "{bad}");
        }
    }

    #[test]
    fn what_devices_can_reach_is_another_machine_over_https() {
        for good in ["https://autoops.example", "https://10.0.0.8:8443/hooks"] {
            assert!(is_public_address(good), "{good}");
        }
        for bad in [
            "http://autoops.example",
            "http://127.0.0.1:7780",
            "https://127.0.0.1:7780",
            "https://localhost",
            "https://hooks.localhost",
            "https://[::1]",
            "https://[::ffff:127.0.0.1]",
            "https://0.0.0.0",
            "https://user@autoops.example",
        ] {
            assert!(!is_public_address(bad), "{bad}");
        }
    }
}
