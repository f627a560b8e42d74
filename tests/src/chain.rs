//! Audit chains, read as an auditor would.

use clients::store::Store;
use domain::audit::{self, AuditEntry};

/// Entries that are read at once.
const PAGE: usize = 500;

/// Reads a chain; checks every hash in it, and that it ends where the store says.
///
/// # Panics
/// When the store cannot be read or the chain is broken.
pub async fn whole_chain(store: &Store, chain: &str) -> Vec<AuditEntry> {
    let mut entries: Vec<AuditEntry> = Vec::new();
    loop {
        let page = store
            .actions
            .read_chain(chain, entries.len() as u64, PAGE)
            .await
            .unwrap();
        if page.is_empty() {
            break;
        }
        entries.extend(page);
    }
    audit::verify(chain, None, &entries).unwrap();
    let head = store.actions.chain_head(chain).await.unwrap();
    audit::verify_end(chain, entries.last(), head.as_ref()).unwrap();
    entries
}
