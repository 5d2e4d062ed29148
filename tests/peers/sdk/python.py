"""Uploads a certificate with the official Python SDK and reads it back, to prove the sandbox's cloud.

Needs aliyun-python-sdk-core. By environment: ENDPOINT (http://127.0.0.1:PORT), ACCESS_KEY_ID, ACCESS_KEY_SECRET,
SECURITY_TOKEN (optional), DOMAIN, CHAIN and KEY (PEM files), LAYOUT (query: as the SDK's own request classes do,
the default; body: the parameters of the action in the form). Prints one line of JSON.
"""

import json
import os
import sys
from urllib.parse import urlsplit

from aliyunsdkcore.auth.credentials import AccessKeyCredential, StsTokenCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.acs_exception.exceptions import ClientException, ServerException
from aliyunsdkcore.request import RpcRequest


def connect(endpoint):
    key, secret = os.environ["ACCESS_KEY_ID"], os.environ["ACCESS_KEY_SECRET"]
    token = os.environ.get("SECURITY_TOKEN")
    credential = StsTokenCredential(key, secret, token) if token else AccessKeyCredential(key, secret)
    return AcsClient(region_id="cn-hangzhou", credential=credential, port=endpoint.port)


def call(client, endpoint, action, parameters, layout):
    request = RpcRequest("Cdn", "2018-05-10", action)
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


def main():
    endpoint = urlsplit(os.environ["ENDPOINT"])
    layout = os.environ.get("LAYOUT", "query")
    domain = os.environ["DOMAIN"]
    chain = read("CHAIN")
    upload = {
        "DomainName": domain,
        "ServerCertificateStatus": "on",
        "CertType": "upload",
        "CertName": "sdk-python",
        "ServerCertificate": chain,
        "PrivateKey": read("KEY"),
        "ForceSet": "1",
    }
    try:
        client = connect(endpoint)
        done = call(client, endpoint, "SetDomainServerCertificate", upload, layout)
        shown = call(client, endpoint, "DescribeDomainCertificateInfo", {"DomainName": domain}, layout)
    except (ClientException, ServerException) as error:
        # Its message may echo the private key; the code is enough.
        print(json.dumps({"ok": False, "sdk": "python", "layout": layout, "code": error.get_error_code()}))
        return 1
    entry = shown["CertInfos"]["CertInfo"][0]
    same = entry["ServerCertificate"] == chain
    print(json.dumps({
        "ok": same,
        "sdk": "python",
        "layout": layout,
        "request_id": done["RequestId"],
        "cert_name": entry["CertName"],
        "status": entry["ServerCertificateStatus"],
    }))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
