// Uploads a certificate with the official Node.js SDK and reads it back, to prove the sandbox's cloud.
//
// Needs @alicloud/pop-core. By environment: ENDPOINT (http://127.0.0.1:PORT), ACCESS_KEY_ID, ACCESS_KEY_SECRET,
// SECURITY_TOKEN (optional), DOMAIN, CHAIN and KEY (PEM files). A POST of pop-core has all in its body, Signature
// too; it signs a GET's query, which is used for the read-back alone. Prints one line of JSON.
'use strict';

const fs = require('fs');
const { RPCClient } = require('@alicloud/pop-core');

async function main(env) {
  const client = new RPCClient({
    endpoint: env.ENDPOINT,
    apiVersion: '2018-05-10',
    accessKeyId: env.ACCESS_KEY_ID,
    accessKeySecret: env.ACCESS_KEY_SECRET,
    securityToken: env.SECURITY_TOKEN,
  });
  const chain = fs.readFileSync(env.CHAIN, 'ascii');
  const upload = {
    DomainName: env.DOMAIN,
    ServerCertificateStatus: 'on',
    CertType: 'upload',
    CertName: 'sdk-node',
    ServerCertificate: chain,
    PrivateKey: fs.readFileSync(env.KEY, 'ascii'),
    ForceSet: '1',
  };
  const done = await client.request('SetDomainServerCertificate', upload, { method: 'POST' });
  const one = { DomainName: env.DOMAIN };
  const shown = await client.request('DescribeDomainCertificateInfo', one, { method: 'GET' });
  const entry = shown.CertInfos.CertInfo[0];
  return {
    ok: entry.ServerCertificate === chain,
    sdk: 'node',
    layout: 'body',
    request_id: done.RequestId,
    cert_name: entry.CertName,
    status: entry.ServerCertificateStatus,
  };
}

main(process.env)
  // An error's message may echo the private key; the code is enough.
  .catch((error) => ({ ok: false, sdk: 'node', layout: 'body', code: error.code || error.name }))
  .then((result) => {
    console.log(JSON.stringify(result));
    process.exitCode = result.ok ? 0 : 1;
  });
