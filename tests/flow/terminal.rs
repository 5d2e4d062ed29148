//! On a terminal: progress moves, and nothing else is different.

use std::fs::{File, OpenOptions};
use std::io::Read;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::house::House;

const CONFIG: &str = "[[certificate]]\nsource = \"live/a\"\n[[certificate.deploy]]\ndomains = [\"cdn.example.test\", \"*.example.test\"]\n";

/// Runs the program on a terminal of its own and answers its exit status and all that it showed.
fn on_a_terminal(house: &House, args: &str) -> (i32, String) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let slave = || OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
    let mut child = {
        let mut command = house.command(args);
        command.env("TERM", "xterm").stdin(slave()).stdout(slave()).stderr(slave()).spawn().unwrap()
    };
    // The other end closes with the program: reading then ends in an error of its own.
    let mut shown = Vec::new();
    let _closed = File::from(master).read_to_end(&mut shown);
    (child.wait().unwrap().code().unwrap(), String::from_utf8_lossy(&shown).into_owned())
}

#[test]
fn progress_moves_and_the_report_stands_below() {
    let mut house = House::new();
    CONFIG.clone_into(&mut house.config);
    let (code, shown) = on_a_terminal(&house, "renew -v");
    assert_eq!(code, 0, "{shown}");
    assert!(shown.contains("all is as it should be: 2 deployed"), "{shown}");
    assert!(shown.contains("/3 "), "no bar: {shown}");
}
