//! Task queues. Rate-limited systems have their own, so that a queue can be slowed down as a whole.

/// Workflows and fast activities.
pub const MAIN: &str = "autoops";
/// `SuperOps` calls about one device: scripts, patch lists, alerts.
pub const SUPEROPS: &str = "autoops-superops";
/// Walks over the `SuperOps` device list.
pub const INVENTORY: &str = "autoops-inventory";
/// NVD.
pub const NVD: &str = "autoops-nvd";

/// Activity priority: starting and reading back scripts goes first.
pub const PRIORITY_SCRIPT: u32 = 1;
/// Activity priority: looking at the state of a device.
pub const PRIORITY_POLL: u32 = 3;
/// Activity priority: walking over the inventory.
pub const PRIORITY_INVENTORY: u32 = 5;
