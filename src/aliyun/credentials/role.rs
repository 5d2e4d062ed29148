//! Temporary keys of a RAM role by STS (API version 2015-04-01): AssumeRole, signed, and AssumeRoleWithOIDC, unsigned.

use std::path::PathBuf;

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use super::super::error::{Error, Kind};
use super::super::{Account, Api, By, Call, Effort, Limit, Product, READ_TIME};
use super::{Credentials, Miss, Setup, TOKENS_OF_OTHERS, Way, document};
use crate::secret;

/// A RAM role, and the session that is opened of it.
#[derive(Clone, Debug)]
pub(super) struct Role {
    pub(super) arn: String,
    pub(super) session_name: String,
    pub(super) external_id: Option<String>,
    /// Narrows what the role allows.
    pub(super) policy: Option<String>,
    /// How long its keys live; none: an hour, by STS.
    pub(super) seconds: Option<u32>,
    pub(super) sts: Url,
}

/// A role that is assumed with the token of an OIDC provider.
#[derive(Clone, Debug)]
pub(super) struct Oidc {
    pub(super) role: Role,
    pub(super) provider_arn: String,
    /// Read again each time: who put it there puts fresh ones.
    pub(super) token_file: PathBuf,
}

impl Role {
    /// AssumeRole with this AccessKey.
    pub(super) async fn assume(
        &self,
        account: &Account,
        by: &Credentials,
    ) -> Result<Credentials, Error> {
        let params = self.params();
        let params: Vec<_> = params.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let call = Call { api: &ASSUME_ROLE, params: &params, subject: &self.arn, secret: None };
        self.answered(account, &call, By::Key(by, &self.sts)).await
    }

    async fn answered(
        &self,
        account: &Account,
        call: &Call<'_>,
        by: By<'_>,
    ) -> Result<Credentials, Error> {
        let answer = account.round(call, by, &mut Effort::default(), async || false).await?;
        let keys = answer.get("Credentials").unwrap_or(&serde_json::Value::Null);
        document::read(keys, "STS")
    }

    fn params(&self) -> Vec<(&'static str, String)> {
        let mut params =
            vec![("RoleArn", self.arn.clone()), ("RoleSessionName", self.session_name.clone())];
        params.extend(self.external_id.clone().map(|id| ("ExternalId", id)));
        params.extend(self.policy.clone().map(|policy| ("Policy", policy)));
        params.extend(self.seconds.map(|seconds| ("DurationSeconds", seconds.to_string())));
        params
    }
}

impl Oidc {
    /// AssumeRoleWithOIDC with the token as it stands in its file now.
    pub(super) async fn assume(&self, account: &Account) -> Result<Credentials, Error> {
        let token = self.token()?;
        let params = self.role.params();
        let mut params: Vec<_> =
            params.iter().map(|(name, value)| (*name, value.as_str())).collect();
        params.push(("OIDCProviderArn", &self.provider_arn));
        params.push(("OIDCToken", token.expose_secret()));
        let subject = self.role.arn.as_str();
        let api = &ASSUME_ROLE_WITH_OIDC;
        let call = Call { api, params: &params, subject, secret: Some(&token) };
        self.role.answered(account, &call, By::Nobody(&self.role.sts)).await
    }

    fn token(&self) -> Result<SecretString, Error> {
        let name = self.token_file.display();
        let help = "see that the file is mounted and that certferry may read it";
        match secret::read_foreign(&self.token_file, TOKENS_OF_OTHERS) {
            Ok(Some(text)) if !text.trim().is_empty() => Ok(SecretString::from(text.trim())),
            Ok(Some(_)) => {
                Err(document::broken(&format!("the OIDC token file {name} is empty"), help))
            }
            Ok(None) => Err(document::broken(&format!("there is no OIDC token file {name}"), help)),
            Err(error) => match Miss::of(&error) {
                Miss::Broken(error) => Err(error),
                Miss::Absent(what) => Err(document::broken(&what, help)),
            },
        }
    }
}

/// The second source: all three variables. ALIBABA_CLOUD_ROLE_ARN alone is no OIDC.
pub(super) fn of_environment(setup: &Setup) -> Result<Way, Miss> {
    let (role, provider, token) =
        (setup.env.var(ROLE_ARN), setup.env.var(PROVIDER_ARN), setup.env.var(TOKEN_FILE));
    let (Some(role), Some(provider), Some(token)) = (role, provider, token) else {
        let all = [(ROLE_ARN, role), (PROVIDER_ARN, provider), (TOKEN_FILE, token)];
        let missing = all.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| *name);
        let missing = missing.collect::<Vec<_>>().join(" and ");
        let Some((set, _)) = all.iter().skip(1).find(|(_, value)| value.is_some()) else {
            return Err(Miss::Absent(format!("{TOKEN_FILE} is not set")));
        };
        let what = format!("{set} is set, and not {missing}");
        return Err(Miss::broken(&what, &format!("set {missing} too, or none of the three")));
    };
    let role = setup.role(role, None, setup.sts(None, false)?);
    let (provider_arn, token_file) = (provider.to_owned(), PathBuf::from(token));
    Ok(Way::Oidc(Oidc { role, provider_arn, token_file }))
}

/// The account's identity has no effect: it may be asked for at any time.
impl Account {
    /// Who we are at the cloud (GetCallerIdentity).
    ///
    /// # Errors
    /// [`Error`], after the retries that its kind allows.
    pub async fn caller_identity(&self) -> Result<Identity, Error> {
        let call = Call { api: &GET_CALLER_IDENTITY, params: &[], subject: "*", secret: None };
        let answer = self.ask(&call).await?;
        let field = |name: &str| {
            super::super::text(&answer, name).ok_or_else(|| {
                let what = format!("the answer of GetCallerIdentity has no {name}");
                Error::new(Kind::UnknownOutcome, "NoIdentity", &what, "try again")
            })
        };
        Ok(Identity { account_id: field("AccountId")?, arn: field("Arn")? })
    }
}

/// Who we are at the cloud (GetCallerIdentity).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The number of the main account.
    pub account_id: String,
    /// `acs:ram::123456789012:user/NAME`, or `...:assumed-role/ROLE/SESSION`.
    pub arn: String,
}

const ROLE_ARN: &str = "ALIBABA_CLOUD_ROLE_ARN";
const PROVIDER_ARN: &str = "ALIBABA_CLOUD_OIDC_PROVIDER_ARN";
const TOKEN_FILE: &str = "ALIBABA_CLOUD_OIDC_TOKEN_FILE";

/// Documented: 6000 calls a minute and account, for all three.
static ASSUME_ROLE: Api = Api {
    product: Product::Sts,
    action: "AssumeRole",
    limit: Limit::PerSecond(100),
    timeout: READ_TIME,
};
static ASSUME_ROLE_WITH_OIDC: Api = Api {
    product: Product::Sts,
    action: "AssumeRoleWithOIDC",
    limit: Limit::PerSecond(100),
    timeout: READ_TIME,
};
static GET_CALLER_IDENTITY: Api = Api {
    product: Product::Sts,
    action: "GetCallerIdentity",
    limit: Limit::PerSecond(100),
    timeout: READ_TIME,
};
