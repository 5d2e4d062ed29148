#!/usr/bin/env sh
# shellcheck disable=SC2034,SC2154

# acme.sh deploy hook: ~/.acme.sh/deploy/certferry.sh, used by `acme.sh --deploy -d example.com --deploy-hook certferry`.
#
# Which CDN domains, if not the certificate's names as they stand; kept by acme.sh for each certificate:
# export CERTFERRY_DOMAINS="cdn.example.com,*.example.com"
# export CERTFERRY_DISCOVER=1        every CDN domain of the account that the certificate covers
# export CERTFERRY_ALIYUN="second"   the [aliyun.NAME] of certferry's configuration

# domain key cert ca fullchain
certferry_deploy() {
  for _cf_setting in CERTFERRY_DOMAINS CERTFERRY_DISCOVER CERTFERRY_ALIYUN; do
    _getdeployconf "$_cf_setting"
  done
  [ -z "$CERTFERRY_DOMAINS" ] || _savedeployconf CERTFERRY_DOMAINS "$CERTFERRY_DOMAINS"
  [ -z "$CERTFERRY_DISCOVER" ] || _savedeployconf CERTFERRY_DISCOVER "$CERTFERRY_DISCOVER"
  [ -z "$CERTFERRY_ALIYUN" ] || _savedeployconf CERTFERRY_ALIYUN "$CERTFERRY_ALIYUN"
  (
    # A star among the CDN domains is no file name's.
    set -f
    set -- -- acme.sh "$1" "$2" "$3" "$4" "$5"
    [ -z "$CERTFERRY_ALIYUN" ] || set -- --aliyun "$CERTFERRY_ALIYUN" "$@"
    [ -z "$CERTFERRY_DISCOVER" ] || set -- --discover "$@"
    for _cf_domain in $(printf '%s' "$CERTFERRY_DOMAINS" | tr ',' ' '); do
      set -- --domain "$_cf_domain" "$@"
    done
    certferry hook "$@"
  )
}
