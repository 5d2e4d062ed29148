//! Units say nothing that the oldest systemd would not know: Ubuntu 20.04 has 245, which no test here boots.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Ubuntu 20.04's.
const OLDEST: u32 = 245;

/// What it passes over, with a line in the journal, and that is of use without it: a timer's delay that is another one each
/// time, and two of many walls around the service.
const PASSED_OVER: [&str; 3] = ["FixedRandomDelay", "ProcSubset", "ProtectProc"];

/// In which version each key came, by systemd's manual; 0: it tells of none.
const CAME: [(u32, &[&str]); 23] = [
    (0, &["CapabilityBoundingSet", "ExecStart", "LimitCORE", "PrivateTmp", "SyslogIdentifier"]),
    (0, &["SyslogLevel", "Type", "UMask", "User"]),
    (187, &["NoNewPrivileges", "SystemCallFilter"]),
    (188, &["TimeoutStartSec"]),
    (197, &["OnCalendar"]),
    (201, &["After", "Description", "Documentation", "OnFailure", "WantedBy", "Wants"]),
    (209, &["PrivateDevices", "SystemCallArchitectures", "SystemCallErrorNumber"]),
    (211, &["RestrictAddressFamilies", "RuntimeDirectory", "StateDirectory"]),
    (212, &["Persistent"]),
    (214, &["ProtectHome", "ProtectSystem"]),
    (229, &["RandomizedDelaySec"]),
    (231, &["MemoryDenyWriteExecute", "ReadWritePaths", "RestrictRealtime"]),
    (232, &["PrivateUsers", "ProtectControlGroups", "ProtectKernelModules"]),
    (232, &["ProtectKernelTunables", "RemoveIPC"]),
    (233, &["RestrictNamespaces"]),
    (234, &["RuntimeDirectoryMode", "StateDirectoryMode"]),
    (235, &["LockPersonality", "RuntimeDirectoryPreserve"]),
    (239, &["PrivateMounts"]),
    (242, &["ProtectHostname", "RestrictSUIDSGID"]),
    (243, &["ExecCondition"]),
    (244, &["ProtectKernelLogs"]),
    (245, &["ProtectClock"]),
    (247, &["FixedRandomDelay", "ProcSubset", "ProtectProc"]),
];

/// The keys of all units, of the package's and of those beside hooks.
fn keys() -> BTreeSet<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["packaging", "hooks/caddy"].map(|folder| fs::read_dir(root.join(folder)));
    let files = folders.into_iter().flat_map(Result::unwrap).map(|entry| entry.unwrap().path());
    let is_unit =
        |path: &Path| path.extension().is_some_and(|end| end == "service" || end == "timer");
    let units: Vec<String> =
        files.filter(|path| is_unit(path)).map(|path| fs::read_to_string(path).unwrap()).collect();
    assert_eq!(units.len(), 5);
    let lines = units.iter().flat_map(|unit| unit.lines());
    let lines = lines.filter(|line| line.starts_with(|first: char| first.is_ascii_uppercase()));
    lines.filter_map(|line| Some(line.split_once('=')?.0.to_owned())).collect()
}

#[test]
fn ubuntus_oldest_systemd_knows_what_units_say() {
    let since = |key: &str| {
        let group = CAME.iter().find(|(_, keys)| keys.contains(&key));
        group.unwrap_or_else(|| panic!("since when has systemd {key}=?")).0
    };
    let newer: Vec<String> = keys().into_iter().filter(|key| since(key) > OLDEST).collect();
    assert_eq!(newer, PASSED_OVER);
}
