//! What layers of images can be stacked with.

use super::{filesystem, present};
use crate::report::{Finding, Group, Status};

pub(super) fn probe() -> Vec<Finding> {
    let overlay = filesystem("overlay");
    let vfs = match &overlay {
        Ok(_) => "always available; every container is a full copy",
        Err(_) => "always available and used here; every container is a full copy",
    };
    let optional = |name, result: Result<String, String>, detail_if_absent: &str| match result {
        Ok(detail) => Finding::new(Group::Storage, name, Status::Ok, detail),
        Err(_) => Finding::new(Group::Storage, name, Status::Info, detail_if_absent),
    };
    vec![
        Finding::of(
            Group::Storage,
            "overlay",
            overlay,
            Status::Missing,
            "modprobe overlay, or use a kernel with CONFIG_OVERLAY_FS",
        ),
        optional("btrfs", filesystem("btrfs"), "not in this kernel"),
        Finding::new(Group::Storage, "vfs", Status::Ok, vfs),
        Finding::new(
            Group::Storage,
            "devicemapper",
            Status::Info,
            match present("/dev/mapper/control") {
                Ok(node) => format!("{node} is there; as a storage driver it was replaced by overlay"),
                Err(_) => {
                    "no /dev/mapper/control; not needed, overlay replaced this storage driver".to_owned()
                }
            },
        ),
        optional("fuse", present("/dev/fuse"), "no /dev/fuse; containers that mount with FUSE will miss it"),
    ]
}
