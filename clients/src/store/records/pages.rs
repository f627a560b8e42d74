//! Lists of a device that are read page by page: the list is replaced when its last page is there.

use domain::{
    campaign::PatchList,
    ids::{ClientId, DeviceId},
    software::SoftwareList,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::items::Tx;
use crate::store::{StoreError, StoreResult};

/// A list of a device.
pub(super) trait Paged: Serialize + DeserializeOwned {
    /// Sort key of a whole one; pages of one that is being read have `-pages` behind it.
    const KEY: &'static str;
    /// What it is, for people.
    const WHAT: &'static str;
    /// Whose it is.
    fn owner(&self) -> (&ClientId, &DeviceId);
    /// Adds a later page, which may be there already.
    fn add(&mut self, page: Self, is_again: bool);
}

/// Pages of a list that is being read.
#[derive(Serialize, Deserialize)]
struct Pages<T> {
    pages: u32,
    list: T,
}

impl Paged for PatchList {
    const KEY: &'static str = "patches";
    const WHAT: &'static str = "patch list";

    fn owner(&self) -> (&ClientId, &DeviceId) {
        (&self.client, &self.device)
    }

    fn add(&mut self, page: Self, _: bool) {
        let known = |kb| self.missing.iter().any(|patch| patch.kb == kb);
        let new = page.missing.into_iter();
        let new: Vec<_> = new.filter(|patch| !known(patch.kb.clone())).collect();
        self.missing.extend(new);
        self.installed.extend(page.installed);
        self.read_at = page.read_at;
    }
}

impl Paged for SoftwareList {
    const KEY: &'static str = "software";
    const WHAT: &'static str = "software list";

    fn owner(&self) -> (&ClientId, &DeviceId) {
        (&self.client, &self.device)
    }

    fn add(&mut self, mut page: Self, is_again: bool) {
        if is_again {
            // Counted before.
            (page.flaws, page.beyond) = (0, 0);
        }
        self.extend(page);
    }
}

/// Writes a page, from 1.
pub(super) fn put_page<T: Paged>(tx: &Tx<'_>, page: T, number: u32, last: bool) -> StoreResult<()> {
    let (client, device) = page.owner();
    let (client, device) = (client.clone(), device.clone());
    let (pk, begun_key) = (format!("device/{device}"), format!("{}-pages", T::KEY));
    let list = if number <= 1 {
        page
    } else {
        let begun: Option<Pages<T>> = tx.get(&pk, &begun_key)?;
        // The same page again, or the one after it.
        let begun = begun.filter(|begun| (number - 1..=number).contains(&begun.pages));
        let begun = begun.ok_or_else(|| {
            let what = format!(
                "page {number} of the {} of device {device} comes without the one before",
                T::WHAT
            );
            StoreError::Conflict { what }
        })?;
        let mut list = begun.list;
        list.add(page, begun.pages == number);
        list
    };
    if last {
        tx.put(&pk, T::KEY, &list)?;
        return tx.change(T::KEY, Some(&client), device.as_str()).map(drop);
    }
    let pages = number.max(1);
    tx.put(&pk, &begun_key, &Pages { pages, list })
}
