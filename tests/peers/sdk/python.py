"""Uploads a certificate by both APIs with the official Python SDK and reads it back, to prove the sandbox's cloud.

Then it assumes a role, and lists the account's domains as that. Needs aliyun-python-sdk-core. By environment: ENDPOINT
(http://127.0.0.1:PORT), ACCESS_KEY_ID, ACCESS_KEY_SECRET, SECURITY_TOKEN (optional), ROLE_ARN, DOMAIN, CHAIN and KEY
(PEM files), LAYOUT (query: as the SDK's own request classes do, the default; body: the parameters of the action in the
form). Prints one line of JSON.
"""

import json
import os
import sys
from urllib.parse import urlsplit

from aliyunsdkcore.auth.credentials import AccessKeyCredential, StsTokenCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.request import RpcRequest


CDN = ("Cdn", "2018-05-10")
STS = ("Sts", "2015-04-01")


def connect(endpoint, key, secret, token):
    credential = StsTokenCredential(key, secret, token) if token else AccessKeyCredential(key, secret)
    return AcsClient(region_id="cn-hangzhou", credential=credential, port=endpoint.port)


def call(client, endpoint, action, parameters, layout, product=CDN):
    request = RpcRequest(*product, action)
    request.set_method("POST")
    request.set_protocol_type("http")
    request.set_accept_format("JSON")
    request.set_endpoint(endpoint.hostname)
    add = request.add_body_params if layout == "body" else request.add_query_param
    for name, value in parameters.items():
        add(name, value)
    return json.loads(client.do_action_with_exception(request))


def read(variable):
    with open(os.environ[variable], encoding="ascii") as file:
        return file.read()


def prove(endpoint, layout):
    domain, chain, key = os.environ["DOMAIN"], read("CHAIN"), read("KEY")
    upload = {
        "DomainName": domain,
        "ServerCertificateStatus": "on",
        "CertType": "upload",
        "CertName": "sdk-python",
        "ServerCertificate": chain,
        "PrivateKey": key,
        "ForceSet": "1",
    }
    successor = {
        "DomainName": domain,
        "SSLProtocol": "on",
        "CertType": "upload",
        "CertName": "sdk-python-successor",
        "SSLPub": chain,
        "SSLPri": key,
    }
    role = {"RoleArn": os.environ["ROLE_ARN"], "RoleSessionName": "sdk-python"}
    own = (os.environ["ACCESS_KEY_ID"], os.environ["ACCESS_KEY_SECRET"], os.environ.get("SECURITY_TOKEN"))
    client = connect(endpoint, *own)

    def look():
        shown = call(client, endpoint, "DescribeDomainCertificateInfo", {"DomainName": domain}, layout)
        return shown["CertInfos"]["CertInfo"][0]

    done = call(client, endpoint, "SetDomainServerCertificate", upload, layout)
    first = look()
    call(client, endpoint, "SetCdnDomainSSLCertificate", successor, layout)
    entry = look()
    keys = call(client, endpoint, "AssumeRole", role, layout, STS)["Credentials"]
    session = connect(endpoint, keys["AccessKeyId"], keys["AccessKeySecret"], keys["SecurityToken"])
    domains = call(session, endpoint, "DescribeUserDomains", {"PageSize": "50"}, layout)
    return {
        "ok": first["ServerCertificate"] == entry["ServerCertificate"] == chain,
        "sdk": "python",
        "layout": layout,
        "request_id": done["RequestId"],
        "cert_names": [first["CertName"], entry["CertName"]],
        "status": entry["ServerCertificateStatus"],
        "domains": [one["DomainName"] for one in domains["Domains"]["PageData"]],
    }


def main():
    endpoint = urlsplit(os.environ["ENDPOINT"])
    layout = os.environ.get("LAYOUT", "query")
    try:
        result = prove(endpoint, layout)
    except (ClientException, ServerException) as error:
        # Its message may echo the private key; the code is enough.
        result = {"ok": False, "sdk": "python", "layout": layout, "code": error.get_error_code()}
    print(json.dumps(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
