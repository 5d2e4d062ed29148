//! On a terminal: progress moves, and nothing else is different.

use crate::house::House;
use crate::person::Person;

const CONFIG: &str = "[[certificate]]\nsource = \"live/a\"\n[[certificate.deploy]]\ndomains = [\"cdn.example.test\", \"*.example.test\"]\n";

/// Runs the program on a terminal of its own and answers its exit status and all that it showed.
fn on_a_terminal(house: &House, args: &str) -> (i32, String) {
    let mut person = Person::at(house.command(args));
    (person.leaves(), person.shown.clone())
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
