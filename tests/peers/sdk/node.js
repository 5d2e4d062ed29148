// Uploads a certificate by both APIs with the official Node.js SDK and reads it back, to prove the sandbox's cloud.
//
// Then it assumes a role, and lists the account's domains as that. Needs @alicloud/pop-core. By environment: ENDPOINT
// (http://127.0.0.1:PORT), ACCESS_KEY_ID, ACCESS_KEY_SECRET, SECURITY_TOKEN (optional), ROLE_ARN, DOMAIN, CHAIN and KEY
// (PEM files). A POST of pop-core has all in its body, Signature too; it signs a GET's query, which is used for what is
// read. Prints one line of JSON.
'use strict';

const fs = require('fs');
const { RPCClient } = require('@alicloud/pop-core');

const CDN = '2018-05-10';
const STS = '2015-04-01';

async function main(env) {
  const connect = (apiVersion, accessKeyId, accessKeySecret, securityToken) =>
    new RPCClient({ endpoint: env.ENDPOINT, apiVersion, accessKeyId, accessKeySecret, securityToken });
  const own = [env.ACCESS_KEY_ID, env.ACCESS_KEY_SECRET, env.SECURITY_TOKEN];
  const client = connect(CDN, ...own);
  const post = { method: 'POST' };
  const get = { method: 'GET' };
  const chain = fs.readFileSync(env.CHAIN, 'ascii');
  const key = fs.readFileSync(env.KEY, 'ascii');
  const one = { DomainName: env.DOMAIN };
  const look = async () => {
    const shown = await client.request('DescribeDomainCertificateInfo', one, get);
    return shown.CertInfos.CertInfo[0];
  };
  const upload = {
    DomainName: env.DOMAIN,
    ServerCertificateStatus: 'on',
    CertType: 'upload',
    CertName: 'sdk-node',
    ServerCertificate: chain,
    PrivateKey: key,
    ForceSet: '1',
  };
  const done = await client.request('SetDomainServerCertificate', upload, post);
  const first = await look();
  const successor = {
    DomainName: env.DOMAIN,
    SSLProtocol: 'on',
    CertType: 'upload',
    CertName: 'sdk-node-successor',
    SSLPub: chain,
    SSLPri: key,
  };
  await client.request('SetCdnDomainSSLCertificate', successor, post);
  const entry = await look();
  const role = { RoleArn: env.ROLE_ARN, RoleSessionName: 'sdk-node' };
  const { Credentials: keys } = await connect(STS, ...own).request('AssumeRole', role, post);
  const session = connect(CDN, keys.AccessKeyId, keys.AccessKeySecret, keys.SecurityToken);
  const domains = await session.request('DescribeUserDomains', { PageSize: 50 }, get);
  return {
    ok: first.ServerCertificate === chain && entry.ServerCertificate === chain,
    sdk: 'node',
    layout: 'body',
    request_id: done.RequestId,
    cert_names: [first.CertName, entry.CertName],
    status: entry.ServerCertificateStatus,
    domains: domains.Domains.PageData.map((domain) => domain.DomainName),
  };
}

main(process.env)
  // An error's message may echo the private key; the code is enough.
  .catch((error) => ({ ok: false, sdk: 'node', layout: 'body', code: error.code || error.name }))
  .then((result) => {
    console.log(JSON.stringify(result));
    process.exitCode = result.ok ? 0 : 1;
  });
