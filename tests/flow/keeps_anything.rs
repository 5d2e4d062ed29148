//! `keeps-anything`: only a clear no passes the timer's run over.

use crate::house::House;

fn check(row: &str, house: &House, code: i32, said: &str) {
    let ended = house.run("keeps-anything");
    let stdout = ended.stdout.replace(&house.path("").display().to_string(), "");
    assert_eq!((ended.code, stdout.as_str(), ended.stderr.as_str()), (code, said, ""), "{row}");
    let quiet = house.run("keeps-anything -q");
    assert_eq!((quiet.code, quiet.stdout.as_str()), (code, ""), "{row}");
}

const NOTHING: &str =
    "nothing to keep in step: no [[certificate]] in config.toml, and no claim of a hook in store\n";

#[test]
fn a_claim_or_a_certificate_is_something() {
    let mut house = House::new();
    check("no store yet", &house, 1, NOTHING);
    assert!(!house.path("store").exists(), "it writes nothing");
    house.renewed("cdn.example.test");
    assert_eq!(house.run("hook").code, 0);
    check("a claim", &house, 0, "");
    assert_eq!(house.run("forget a").code, 0);
    check("forgotten", &house, 1, NOTHING);
    house.config = "[[certificate]]\nsource = \"live/a\"\n[[certificate.deploy]]\ndomains = [\"cdn.example.test\"]\n".to_owned();
    check("a certificate", &house, 0, "");
}

#[test]
fn what_is_wrong_is_for_renew_to_say() {
    let mut house = House::new();
    house.renewed("cdn.example.test");
    assert_eq!(house.run("hook").code, 0);
    assert_eq!(house.run("forget a").code, 0);
    check("nothing", &house, 1, NOTHING);
    let claims = house.path("store/claims");
    house.write("store/claims/damaged.json", "no claim");
    check("a damaged claim", &house, 0, "");
    std::fs::remove_dir_all(claims).unwrap();
    house.write("store/claims", "no folder");
    check("a store that cannot be read", &house, 0, "");
    house.config = "[nonsense]\n".to_owned();
    check("a wrong configuration", &house, 0, "");
}
