//! Where an account's AccessKey comes from: the configuration, else the official default credential chain.

use std::path::PathBuf;

use futures_util::future::{FutureExt, LocalBoxFuture};
use jiff::Timestamp;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::error::{Error, Kind};
use super::{Account, endpoint};
use crate::config;
use crate::ground::Env;

mod chain;
mod cli_profile;
mod document;
#[cfg(any(test, fuzzing))]
pub(super) mod hostile;
mod ini;
mod instance;
mod keyring;
mod program;
mod role;

pub use keyring::{Found, PassedOver};
pub(super) use keyring::{Keyring, Opened};
pub use role::Identity;

use role::{Oidc, Role};

/// An AccessKey. `secrecy` zeroes and hides what is secret of it.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    /// AccessKey ID; not a secret.
    pub(super) id: String,
    /// AccessKey secret.
    pub(super) secret: SecretString,
    /// SecurityToken of a key that STS gave.
    pub(super) token: Option<SecretString>,
    /// When it ends; none: nobody said.
    pub(super) expires: Option<Timestamp>,
}

impl Credentials {
    /// Is it the same key, and not only one of the same source?
    fn is(&self, other: &Self) -> bool {
        let token = |key: &Self| key.token.as_ref().map(|token| token.expose_secret().to_owned());
        self.id == other.id
            && self.secret.expose_secret() == other.secret.expose_secret()
            && token(self) == token(other)
    }
}

/// What the sources of an AccessKey are read from.
pub(super) struct Setup {
    /// NAME of `[aliyun.NAME]`.
    account: String,
    keys: Option<config::Keys>,
    profile: Option<String>,
    role: Option<config::Role>,
    sts: Option<Url>,
    metadata: Url,
    base: Option<PathBuf>,
    pub(super) env: Env,
}

impl Setup {
    /// # Errors
    /// [`Kind::Config`]: an endpoint that is no URL, or http beyond this machine.
    pub(super) fn new(
        account: &str,
        config: &config::Aliyun,
        base: Option<PathBuf>,
        env: Env,
    ) -> Result<Self, Error> {
        let sts = config.sts_endpoint.as_deref();
        Ok(Self {
            account: account.to_owned(),
            keys: config.keys.clone(),
            profile: config.profile.clone(),
            role: config.role.clone(),
            sts: sts.map(|url| endpoint(account, "sts_endpoint", url)).transpose()?,
            metadata: endpoint(account, "metadata_endpoint", &config.metadata_endpoint)?,
            base,
            env,
        })
    }

    fn is_true(&self, name: &str) -> bool {
        self.env.var(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The user's folder. Root's is known where nobody says.
    fn home(&self) -> Option<PathBuf> {
        let of_root = || rustix::process::geteuid().is_root().then(|| PathBuf::from("/root"));
        self.env.var("HOME").map(PathBuf::from).or_else(of_root)
    }

    /// STS: as configured, else of the region that a profile or the environment names.
    fn sts(&self, region: Option<&str>, by_vpc: bool) -> Result<Url, Miss> {
        if let Some(url) = &self.sts {
            return Ok(url.clone());
        }
        let region = region.or_else(|| self.env.var("ALIBABA_CLOUD_STS_REGION"));
        let host = match (region, by_vpc || self.is_true("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED")) {
            (None, _) => "sts.aliyuncs.com".to_owned(),
            (Some(region), false) => format!("sts.{region}.aliyuncs.com"),
            (Some(region), true) => format!("sts-vpc.{region}.aliyuncs.com"),
        };
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_region = region.is_none_or(|region| region.bytes().all(plain));
        let url = is_region.then(|| format!("https://{host}").parse().ok()).flatten();
        url.ok_or_else(|| {
            let what = format!("`{}` is no region of STS", region.unwrap_or_default());
            Miss::broken(
                &what,
                "write it as `cn-hangzhou`: see ALIBABA_CLOUD_STS_REGION and `sts_region`",
            )
        })
    }

    /// STS for calls of the account itself; a region that is none is told where it matters.
    pub(super) fn sts_or_usual(&self) -> Result<Url, Error> {
        let usual =
            |_no_region| endpoint(&self.account, "sts_endpoint", "https://sts.aliyuncs.com");
        self.sts(None, false).or_else(usual)
    }

    /// A role with what the environment says of sessions.
    fn role(&self, arn: &str, session_name: Option<&str>, sts: Url) -> Role {
        let name = session_name.or_else(|| self.env.var("ALIBABA_CLOUD_ROLE_SESSION_NAME"));
        Role {
            arn: arn.to_owned(),
            session_name: name.unwrap_or("certferry").to_owned(),
            external_id: None,
            policy: None,
            seconds: None,
            sts,
        }
    }

    /// The role that is configured on top of whatever AccessKey there is.
    fn role_on_top(&self) -> Result<Option<Role>, Miss> {
        let Some(said) = &self.role else { return Ok(None) };
        let role = self.role(&said.arn, said.session_name.as_deref(), self.sts(None, false)?);
        Ok(Some(Role { external_id: said.external_id.clone(), ..role }))
    }
}

/// A way to an AccessKey, as it was set up. Nobody has been asked yet.
enum Way {
    /// The key itself.
    Key(Credentials),
    /// AssumeRole with the key of another way.
    Role(Box<Self>, Role),
    /// AssumeRoleWithOIDC.
    Oidc(Oidc),
    /// The instance's metadata service; the role's name, if it is known.
    Instance(Option<String>),
    /// A service that hands out keys.
    Uri(Url),
    /// A program that prints a key: its words.
    Program(Vec<String>),
}

impl Way {
    /// Goes it: asks whoever has the key.
    fn go<'a>(&'a self, account: &'a Account) -> LocalBoxFuture<'a, Result<Credentials, Error>> {
        match self {
            Self::Key(key) => std::future::ready(Ok(key.clone())).boxed_local(),
            Self::Role(by, role) => {
                async { role.assume(account, &by.go(account).await?).await }.boxed_local()
            }
            Self::Oidc(oidc) => oidc.assume(account).boxed_local(),
            Self::Instance(role) => instance::ask(account, role.as_deref()).boxed_local(),
            Self::Uri(uri) => document::ask(account, uri).boxed_local(),
            Self::Program(words) => program::run(words).boxed_local(),
        }
    }

    /// What stays the same however often its keys change: the pace is kept by it.
    fn lane(&self) -> String {
        match self {
            Self::Key(key) => key.id.clone(),
            Self::Role(_, role) => role.arn.clone(),
            Self::Oidc(oidc) => oidc.role.arn.clone(),
            Self::Instance(role) => format!("instance {}", role.as_deref().unwrap_or_default()),
            Self::Uri(uri) => uri.to_string(),
            Self::Program(words) => words.join(" "),
        }
    }
}

/// Why a source gives no AccessKey.
#[derive(Debug)]
enum Miss {
    /// It is not set up here.
    Absent(String),
    /// It is set up, and does not work.
    Broken(Error),
}

impl Miss {
    fn broken(what: &str, help: &str) -> Self {
        Self::Broken(Error::new(Kind::Credentials, "Credentials", what, help))
    }

    /// A file that cannot be read.
    fn of(error: &anyhow::Error) -> Self {
        let text = format!("{error:#}");
        let (what, help) =
            text.split_once("\nhelp: ").unwrap_or((&text, "see that certferry may read it"));
        Self::broken(what, help)
    }
}

/// A mode may not have these bits: others than owner and group read or write a file with keys.
const KEYS_OF_OTHERS: u32 = 0o007;
/// Others may not write a file with a token. They may read it: in a container it is so.
const TOKENS_OF_OTHERS: u32 = 0o002;
