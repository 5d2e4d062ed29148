#!/bin/sh
# Calls as acme.sh does: `acme.sh deploy HOOK FILE` a deploy hook, `acme.sh reload COMMAND` a reloadcmd. acme.sh itself
# is in no package of Debian's, PyPI's or npm's; this keeps to its wiki ("deployhooks") and its own _deploy and
# _installcert: which variables are exported, what runs in a subshell, and what becomes of its status.

Le_Domain=example.test
DOMAIN_PATH="$HOME/.acme.sh/$Le_Domain"
DOMAIN_CONF="$DOMAIN_PATH/$Le_Domain.conf"
CERT_KEY_PATH="$DOMAIN_PATH/$Le_Domain.key"
CERT_PATH="$DOMAIN_PATH/$Le_Domain.cer"
CA_CERT_PATH="$DOMAIN_PATH/ca.cer"
CERT_FULLCHAIN_PATH="$DOMAIN_PATH/fullchain.cer"
CERT_PFX_PATH="$DOMAIN_PATH/$Le_Domain.pfx"

_info() { printf '[%s] %s\n' "$(date -u)" "$1"; }
_err() { printf '[%s] %s\n' "$(date -u)" "$1" >&2 && return 1; }
_debug() { :; }
_debug2() { :; }
_debug3() { :; }
_exists() { command -v "$1" >/dev/null 2>&1; }

# What a hook has saved last is there again at the next renewal, unless the environment says otherwise.
_getdeployconf() {
  eval "_said=\${$1:-}"
  [ -z "$_said" ] || return 0
  _saved="$(sed -n "s/^SAVED_$1='\(.*\)'\$/\1/p" "$DOMAIN_CONF" 2>/dev/null | tail -n 1)"
  eval "$1=\$_saved"
  export "${1?}"
}
_savedeployconf() { printf "SAVED_%s='%s'\n" "$1" "$2" >>"$DOMAIN_CONF"; }

case "$1" in
deploy)
  if ! (
    . "$3" || exit 1
    if ! "$2_deploy" "$Le_Domain" "$CERT_KEY_PATH" "$CERT_PATH" "$CA_CERT_PATH" "$CERT_FULLCHAIN_PATH" "$CERT_PFX_PATH"; then
      _err "Error deploying for domain: $Le_Domain"
      exit 1
    fi
  ); then
    _err "Error encountered while deploying."
    exit 1
  fi
  _info "Success"
  ;;
reload)
  if ! (
    Le_ForceNewDomainKey="" Le_Next_Domain_Key="$DOMAIN_PATH/$Le_Domain.key.next"
    export CERT_PATH CERT_KEY_PATH CA_CERT_PATH CERT_FULLCHAIN_PATH Le_Domain Le_ForceNewDomainKey Le_Next_Domain_Key
    cd "$DOMAIN_PATH" && eval "$2"
  ); then
    _err "Reload error for: $Le_Domain"
    exit 1
  fi
  _info "Reload successful"
  ;;
esac
