//! Where the AccessKey comes from, by the real program: each source in its order, each refusal, and keys that end.

mod renewal;

use certferry_sandbox::cloud::{Account, DEFAULT_UID, Domain, Fault, Oidc, Role, Seed};
use certferry_sandbox::metadata::{Metadata, Rules, Tokens};
use jiff::SignedDuration;

use crate::house::{Ended, House, KEY_ID, SECRET};

/// Another main account, with a CDN domain of its own.
const OTHER: &str = "2222222222222222";

const CERTIFICATE: &str = "[[certificate]]\nsource = \"live/a\"\n[[certificate.deploy]]\ndomains = [\"cdn.example.test\"]\n";

/// What no output may hold: the secrets of files and environment, and how each SecurityToken of the sandbox begins.
const CANARIES: [&str; 4] = [SECRET, "canary-oidc-token", "canary-other-secret", "CAIS"];

/// A house without an AccessKey, and an instance's metadata service with no role.
struct Home {
    house: House,
    metadata: Metadata,
}

impl Home {
    fn new() -> Self {
        let mut house = House::with(roles);
        let metadata = Metadata::start(&house.cloud, Rules::new());
        house.config = format!(
            "[aliyun.default]\ncdn_endpoint = \"URL\"\ndns_endpoint = \"URL\"\nsts_endpoint = \"URL\"\nmetadata_endpoint = \"{}\"\n{CERTIFICATE}",
            metadata.url()
        );
        let home = house.folder.path().display().to_string();
        house.var("HOME", home);
        house.var("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "");
        Self { house, metadata }
    }

    fn var(&mut self, name: &str, value: &str) {
        let value = value.replace("HOME", &self.house.folder.path().display().to_string());
        self.house.var(&format!("ALIBABA_CLOUD_{name}"), value);
    }

    /// A further line of `[aliyun.default]`.
    fn configured(&mut self, line: &str) {
        let header = "[aliyun.default]\n";
        self.house.config = self.house.config.replace(header, &format!("{header}{line}\n"));
    }

    fn key(&mut self) {
        self.var("ACCESS_KEY_ID", KEY_ID);
        self.var("ACCESS_KEY_SECRET", SECRET);
    }

    fn oidc(&mut self, token: &str) {
        self.var("ROLE_ARN", &Role::new("pod").arn());
        self.var("OIDC_PROVIDER_ARN", &Oidc::new("k8s").arn);
        self.var("OIDC_TOKEN_FILE", "HOME/token");
        self.house.write_secret("token", token, 0o644);
    }

    fn cli(&self, profile: &str) {
        let text =
            format!("{{\"current\": \"p\", \"profiles\": [{{\"name\": \"p\", {profile}}}]}}");
        self.house.write_secret(".aliyun/config.json", &text, 0o600);
    }

    fn ini(&self) {
        let text = format!(
            "[default]\ntype = access_key\naccess_key_id = INI\naccess_key_secret = {SECRET}\n"
        );
        self.house.write_secret(".alibabacloud/credentials", &text, 0o600);
    }

    fn instance(&self) {
        self.metadata.rules(|rules| rules.role = Some("web".to_owned()));
    }

    fn uri(&mut self) {
        let uri = self.metadata.credentials_uri();
        self.metadata.rules(|rules| rules.uri_role = Some("uri".to_owned()));
        self.var("CREDENTIALS_URI", &uri);
    }

    /// Runs with all that it can log; nothing secret may be in it.
    fn run(&self, args: &str) -> Ended {
        let ended = self.house.run(&format!("-vv {args}"));
        for canary in CANARIES {
            assert!(!ended.all().contains(canary), "{canary}: {}", ended.all());
        }
        ended
    }

    /// The AccessKey of the upload: its ID, or who it is where it is temporary.
    fn uploader(&self) -> String {
        let calls = self.house.cloud.calls("SetDomainServerCertificate");
        let id = calls.last().map(|call| call.param("AccessKeyId").to_owned()).unwrap_or_default();
        let mut role = String::new();
        if id.starts_with("STS.") {
            self.house.cloud.account(&id, |account| role = format!("{:?}", account.identity));
        }
        let roles = ["web", "uri", "pod", "top", "far"];
        roles
            .iter()
            .find(|name| role.contains(&format!("role/{name}\"")))
            .map_or(id, ToString::to_string)
    }
}

fn roles(seed: Seed) -> Seed {
    let oidc = Oidc::new("k8s").token("canary-oidc-token-1");
    seed.account(Account::new("CLI", SECRET))
        .account(Account::new("INI", SECRET))
        .role(Role::new("web"))
        .role(Role::new("uri"))
        .role(Role::new("pod").trust(&oidc.arn))
        .role(Role::new("top"))
        .role(Role::new("shut").trust_nobody())
        .role(Role::new("far").uid(OTHER).trust(format!("acs:ram::{DEFAULT_UID}:user/*")))
        .domain(Domain::online("far.example.test").uid(OTHER))
        .oidc(oidc)
}

const CLI_KEY: &str = "\"mode\": \"AK\", \"access_key_id\": \"CLI\", \"access_key_secret\": \"canary-secret-of-the-access-key\"";

/// All that these set up; the upload's key must be this one's.
fn wins(row: &str, set: &[fn(&mut Home)], want: &str) -> Home {
    let mut home = Home::new();
    set.iter().for_each(|set| set(&mut home));
    let ended = home.run("renew --json");
    assert_eq!(ended.code, 0, "{row}: {}", ended.all());
    assert_eq!(home.uploader(), want, "{row}: {}", ended.all());
    assert_eq!(ended.json()["warnings"], serde_json::json!([]), "{row}: {}", ended.all());
    home
}

#[test]
fn each_source_in_its_order() {
    let env: fn(&mut Home) = Home::key;
    let oidc: fn(&mut Home) = |home| home.oidc("canary-oidc-token-1\n");
    let cli: fn(&mut Home) = |home| home.cli(CLI_KEY);
    let ini: fn(&mut Home) = |home| home.ini();
    let instance: fn(&mut Home) = |home| home.instance();
    let uri: fn(&mut Home) = Home::uri;
    wins("environment", &[env, oidc, cli, ini, instance, uri], KEY_ID);
    let home = wins("OIDC role", &[oidc, cli, ini, instance, uri], "pod");
    let call = &home.house.cloud.calls("AssumeRoleWithOIDC")[0];
    assert!(call.in_query.is_empty() && !call.params.contains_key("Signature"), "{call:?}");
    wins("CLI profile", &[cli, ini, instance, uri], "CLI");
    wins("credentials file", &[ini, instance, uri], "INI");
    let home = wins("instance", &[instance, uri], "web");
    assert!(
        home.metadata.calls("credentials")[0].headers.contains_key("x-aliyun-ecs-metadata-token")
    );
    wins("URI", &[uri], "uri");
}

#[test]
fn profiles_roles_and_switches() {
    wins(
        "RamRoleArn",
        &[|home| {
            let role = Role::new("top").arn();
            home.cli(
                &CLI_KEY
                    .replace("\"AK\"", &format!("\"RamRoleArn\", \"ram_role_arn\": \"{role}\"")),
            );
        }],
        "top",
    );
    wins(
        "External",
        &[|home| {
            let command =
                format!("sh -c 'echo \"{{$0}}\"' '{}'", CLI_KEY.replace("canary", "can''ary"));
            home.cli(&format!(
                "\"mode\": \"External\", \"process_command\": {}",
                serde_json::json!(command)
            ));
        }],
        "CLI",
    );
    wins(
        "EcsRamRole",
        &[
            Home::key,
            |home| home.instance(),
            |home| {
                home.cli("\"mode\": \"EcsRamRole\", \"ram_role_name\": \"web\"");
                home.configured("profile = \"p\"");
            },
        ],
        "web",
    );
    wins(
        "a role on top",
        &[Home::key, |home| {
            home.configured(&format!("role_arn = \"{}\"", Role::new("top").arn()));
        }],
        "top",
    );
    wins(
        "a role on top of a role",
        &[
            |home| home.instance(),
            |home| {
                home.configured(&format!("role_arn = \"{}\"", Role::new("top").arn()));
            },
        ],
        "top",
    );
    wins(
        "the metadata service is off",
        &[
            |home| home.instance(),
            Home::uri,
            |home| {
                home.var("ECS_METADATA_DISABLED", "true");
            },
        ],
        "uri",
    );
}

#[test]
fn the_metadata_services_versions() {
    let check = |row: &str, tokens: Tokens, forbidden: bool, says: Option<&str>| {
        let mut home = Home::new();
        home.instance();
        home.metadata.rules(|rules| rules.tokens = tokens);
        if forbidden {
            home.var("IMDSV1_DISABLED", "true");
        }
        let ended = home.run("renew");
        let want = if says.is_none() { "web" } else { "" };
        assert_eq!(home.uploader(), want, "{row}: {}", ended.all());
        if let Some(says) = says {
            assert!(ended.code == 1 && ended.stderr.contains(says), "{row}: {}", ended.all());
        }
    };
    check("both", Tokens::Optional, false, None);
    check("v2 alone", Tokens::Required, true, None);
    check("v1 alone", Tokens::Unknown, false, None);
    check(
        "v1 alone, and forbidden",
        Tokens::Unknown,
        true,
        Some("ALIBABA_CLOUD_IMDSV1_DISABLED forbids IMDSv1"),
    );
}

/// A token that does not come is no reason to wait for ever, nor to go without keys.
#[test]
fn a_metadata_service_that_is_slow_with_tokens() {
    let home = Home::new();
    home.instance();
    home.metadata.fault(Fault::at("token").silence());
    let ended = home.run("renew");
    assert_eq!((ended.code, home.uploader().as_str()), (0, "web"), "{}", ended.all());
    assert_eq!(home.metadata.faults_left(), 0);
}

/// What these set up gives no key: the run fails, says all of this, and uploads nothing.
fn refused(row: &str, set: fn(&mut Home), says: &[&str]) {
    let mut home = Home::new();
    set(&mut home);
    let ended = home.run("renew");
    assert_eq!((ended.code, home.house.uploads()), (1, 0), "{row}: {}", ended.all());
    for part in says.iter().chain(&["help: "]) {
        assert!(ended.stderr.contains(part), "{row}: nothing says `{part}`: {}", ended.all());
    }
}

fn role_on_top(home: &mut Home, name: &str) {
    home.key();
    home.configured(&format!("role_arn = \"{}\"", Role::new(name).arn()));
}

#[test]
fn refusals() {
    refused(
        "nothing",
        |_| {},
        &[
            "environment: ALIBABA_CLOUD_ACCESS_KEY_ID is not set",
            "ECS instance role: no RAM role is attached",
            "credentials URI: ALIBABA_CLOUD_CREDENTIALS_URI is not set",
        ],
    );
    refused(
        "no role",
        |home| role_on_top(home, "gone"),
        &["EntityNotExist.Role", "there is no RAM role acs:ram::"],
    );
    refused(
        "a role for others",
        |home| role_on_top(home, "shut"),
        &["NoPermission", "grant `sts:AssumeRole` on", "trust policy"],
    );
    refused(
        "no key for the role",
        |home| {
            role_on_top(home, "top");
            home.var("ACCESS_KEY_SECRET", "canary-other-secret");
        },
        &["SignatureDoesNotMatch", "secret is wrong"],
    );
    refused(
        "a token that is none",
        |home| home.oidc("canary-oidc-token-9"),
        &["AuthenticationFail.OIDCToken.Invalid", "OIDC token"],
    );
    refused(
        "an empty token file",
        |home| home.oidc(""),
        &["OIDC role: the OIDC token file", "is empty"],
    );
    refused(
        "half a key",
        |home| home.var("ACCESS_KEY_ID", KEY_ID),
        &["ALIBABA_CLOUD_ACCESS_KEY_ID is set and ALIBABA_CLOUD_ACCESS_KEY_SECRET is not"],
    );
    refused(
        "a mode",
        |home| home.cli("\"mode\": \"CloudSSO\", \"access_token\": \"canary-other-secret\""),
        &["the mode `CloudSSO`"],
    );
    refused(
        "a program that fails",
        |home| {
            home.cli("\"mode\": \"External\", \"process_command\": \"sh -c 'echo log in first >&2; exit 7'\"");
        },
        &["exit status: 7", "log in first"],
    );
    refused(
        "a CLI file that is none",
        |home| home.cli("\"mode\": canary-other-secret"),
        &["no configuration of the Aliyun CLI (line 1"],
    );
    refused(
        "a role that is no role",
        |home| {
            home.metadata.rules(|rules| rules.role = Some("unknown".to_owned()));
        },
        &["EntityNotExist.Role"],
    );
    refused(
        "a profile that is not there",
        |home| home.configured("profile = \"prod\""),
        &["no profile `prod` for [aliyun.default]"],
    );
    refused(
        "a metadata service that fails",
        |home| {
            home.instance();
            home.metadata.fault(Fault::at("credentials").always().html(502));
        },
        &["the metadata service answers with status 502"],
    );
}

/// One thing that is wrong is shown as one thing, source by source, also where it is only planned.
#[test]
fn sources_stand_on_lines_of_their_own() {
    let home = Home::new();
    let says = |args: &str, line: &str| {
        let all = home.run(args).all();
        assert!(all.lines().any(|one| one == line), "{args}: {all}");
    };
    says("renew", "  environment: ALIBABA_CLOUD_ACCESS_KEY_ID is not set");
    says("plan", "         environment: ALIBABA_CLOUD_ACCESS_KEY_ID is not set");
}

/// A broken source is passed over as the official SDKs do, and it is told in the report.
#[test]
fn a_broken_source_is_told() {
    let mut home = Home::new();
    home.var("ACCESS_KEY_ID", KEY_ID);
    home.instance();
    let ended = home.run("renew --json");
    assert_eq!((ended.code, home.uploader().as_str()), (0, "web"), "{}", ended.all());
    let warnings = ended.json()["warnings"].as_array().unwrap().clone();
    assert_eq!(warnings.len(), 1, "{}", ended.all());
    let text = warnings[0].as_str().unwrap();
    for part in [
        "[aliyun.default] uses the AccessKey of: ECS instance role",
        "environment: ALIBABA",
        "help: ",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn two_accounts_each_with_its_own() {
    let mut home = Home::new();
    let role = Role::new("far").uid(OTHER).arn();
    home.cli(&CLI_KEY.replace("\"AK\"", &format!("\"RamRoleArn\", \"ram_role_arn\": \"{role}\"")));
    let (first, rest) = home.house.config.split_once("[[cert").unwrap();
    let second = first.replace("aliyun.default", "aliyun.far");
    home.house.config = format!(
        "{first}access_key_id = \"{KEY_ID}\"\naccess_key_secret_file = \"secret\"\n{second}profile = \"p\"\n[[cert{rest}[[certificate.deploy]]\naliyun = \"far\"\ndomains = [\"far.example.test\"]\n"
    );
    let leaf = crate::house::Leaf::new();
    home.house.lineage("a", &leaf);
    let ended = home.run("renew --json");
    assert_eq!((ended.code, home.house.uploads()), (0, 2), "{}", ended.all());
    let calls = home.house.cloud.calls("SetDomainServerCertificate");
    for call in calls {
        let is_far = call.param("DomainName") == "far.example.test";
        assert_eq!(call.param("AccessKeyId").starts_with("STS."), is_far, "{}", ended.all());
    }
    assert!(home.house.cloud.served_fingerprint("far.example.test").is_some());
}

/// The signature is corrected, and people are told: nothing else on this machine is.
#[test]
fn a_clock_that_is_off_is_told_once() {
    let check = |row: &str, minutes: i64, says: &str| {
        let mut home = Home::new();
        home.instance();
        home.house.cloud.rules(|rules| rules.clock_ahead = SignedDuration::from_mins(minutes));
        role_on_top(&mut home, "top");
        let ended = home.run("renew --json");
        assert_eq!((ended.code, home.uploader().as_str()), (0, "top"), "{row}: {}", ended.all());
        let warnings = ended.json()["warnings"].as_array().unwrap().clone();
        assert_eq!(warnings.len(), usize::from(!says.is_empty()), "{row}: {}", ended.all());
        let text = warnings.first().map(|text| text.as_str().unwrap()).unwrap_or_default();
        assert!(
            text.contains(says) && (says.is_empty() || text.contains("set-ntp")),
            "{row}: {text}"
        );
    };
    check("right", 0, "");
    check("behind", 20, "behind the cloud's");
    check("ahead", -20, "ahead of the cloud's");
    check("within what the cloud takes", 10, "");
}
