//! Names of services on their way to the device script.
//!
//! Names may hold a `$` (`MSSQL$SQLEXPRESS`). Where the runtime variables of a script are put into
//! its text, a shell would read that as a variable of its own and look at another service, or at
//! none. So the list travels as base64url, which no shell reads anything into.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// Writes names as the argument `services`: base64url without padding over names with commas
/// between them; empty for none.
#[must_use]
pub fn written(names: &[String]) -> String {
    URL_SAFE_NO_PAD.encode(names.join(","))
}

/// Reads the argument `services` back.
///
/// # Errors
/// When it is not what [`written`] writes.
pub fn read(argument: &str) -> Result<Vec<String>, NotServices> {
    let bytes = URL_SAFE_NO_PAD.decode(argument).map_err(|_| NotServices)?;
    let names = String::from_utf8(bytes).map_err(|_| NotServices)?;
    Ok(names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect())
}

/// Not an argument of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("services is not base64url of names with commas between them")]
pub struct NotServices;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_and_hold_nothing_that_a_shell_reads() {
        let names = ["Spooler", "MSSQL$SQLEXPRESS", "a b:c@d+e#f-g"].map(str::to_owned);
        let argument = written(&names);
        // As `basenc --base64url` writes it, without its padding.
        assert_eq!(
            argument,
            "U3Bvb2xlcixNU1NRTCRTUUxFWFBSRVNTLGEgYjpjQGQrZSNmLWc"
        );
        assert_eq!(read(&argument), Ok(names.to_vec()));
        assert_eq!((written(&[]), read("")), (String::new(), Ok(vec![])));
        for bad in ["MSSQL$SQLEXPRESS", "Spooler,W32Time", "U3Bvb2xlcg==", "_w"] {
            assert_eq!(read(bad), Err(NotServices), "{bad}");
        }
    }
}
