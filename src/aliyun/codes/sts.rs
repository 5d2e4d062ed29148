//! STS' own codes: what they mean for a role. They come before the gateway's, which may have the same names.

use super::{LATER, Row, lasting, row};
use crate::aliyun::error::Kind;
use crate::aliyun::retry::Again;

const ROLE: &str =
    "see role_arn (ram_role_arn, ALIBABA_CLOUD_ROLE_ARN) and the RAM console: Identities, Roles";
const TRUST: &str = "grant `{action}` on `{resource}` to the RAM user or role of {key}, and let the trust policy of {subject} name it; see external_id too";
const PROVIDER: &str = "see the OIDC provider in the RAM console and ALIBABA_CLOUD_OIDC_PROVIDER_ARN, and that the trust policy of {subject} names both it and the token's subject";
const MOUNT: &str =
    "see that whoever puts the file of ALIBABA_CLOUD_OIDC_TOKEN_FILE there renews it";

/// Codes of the API documents of AssumeRole, AssumeRoleWithOIDC and GetCallerIdentity.
pub(in crate::aliyun) const STS: &[Row] = &[
    lasting("EntityNotExist.Role", Kind::Credentials, "there is no RAM role {subject}", ROLE),
    lasting(
        "AuthenticationFail.OIDCToken.Expired",
        Kind::Credentials,
        "the OIDC token for {subject} has expired",
        MOUNT,
    ),
    lasting(
        "AuthenticationFail.OIDCToken.AudienceNotMatch",
        Kind::Credentials,
        "the OIDC token is for another audience than the OIDC provider's client IDs",
        PROVIDER,
    ),
    lasting(
        "AuthenticationFail.OIDCToken*",
        Kind::Credentials,
        "STS does not take the OIDC token for {subject}",
        PROVIDER,
    ),
    lasting(
        "AuthenticationFail.NoPermission",
        Kind::Permission,
        "the RAM role {subject} may not be assumed with this OIDC provider",
        PROVIDER,
    ),
    lasting("AuthenticationFail*", Kind::Credentials, "STS does not take the OIDC token", PROVIDER),
    lasting(
        "NoPermission*",
        Kind::Permission,
        "the RAM role {subject} may not be assumed with AccessKey {key}",
        TRUST,
    ),
    lasting(
        "Forbidden*",
        Kind::Permission,
        "the RAM role {subject} may not be assumed with AccessKey {key}",
        TRUST,
    ),
    lasting(
        "InvalidParameter.RoleArn",
        Kind::Credentials,
        "{subject} is no ARN of a RAM role",
        "write it as acs:ram::123456789012:role/NAME",
    ),
    lasting(
        "InvalidParameter.RoleSessionName",
        Kind::Credentials,
        "STS does not take the name of the session",
        "write 2 to 64 letters, digits and .@-_ (role_session_name, ram_session_name, ALIBABA_CLOUD_ROLE_SESSION_NAME)",
    ),
    lasting(
        "InvalidParameter.DurationSeconds",
        Kind::Credentials,
        "the RAM role {subject} does not allow sessions of this length",
        "set expired_seconds of the profile to 900 at least, and to the role's MaxSessionDuration at most (3600 for a role that is assumed by a role)",
    ),
    lasting(
        "InvalidParameter.Policy*",
        Kind::Credentials,
        "STS does not take the policy of the session",
        "correct `policy` of the profile: a RAM policy of at most 1024 characters",
    ),
    lasting(
        "InvalidParameter.OIDCProviderArn",
        Kind::Credentials,
        "STS does not know the OIDC provider",
        PROVIDER,
    ),
    lasting(
        "InvalidParameter.OIDCToken*",
        Kind::Credentials,
        "STS cannot read the OIDC token",
        MOUNT,
    ),
    lasting("EntityNotExist*", Kind::Credentials, "STS does not find what {subject} needs", ROLE),
    row("InternalFailure*", Kind::Server, Again::Soon, "STS failed within", LATER),
];
