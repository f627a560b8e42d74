//! Which addresses may be given a secret.

/// Returns true for an https address, and for http on this machine: a key must not cross a network
/// in the clear. Paths are appended to an address, so it has no query, and nobody logs in by it.
pub(crate) fn is_safe_address(text: &str) -> bool {
    let Ok(url) = url::Url::parse(text) else {
        return false;
    };
    let local = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => return false,
    };
    url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && (url.scheme() == "https" || (url.scheme() == "http" && local))
}

#[cfg(test)]
mod tests {
    use super::is_safe_address;

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
            "ftp://localhost",
            "https://user@api.superops.ai",
            "https://:secret@api.superops.ai",
            "https://api.superops.ai/msp?x=1",
            "file:///etc/passwd",
        ] {
            assert!(!is_safe_address(bad), "{bad}");
        }
    }
}
