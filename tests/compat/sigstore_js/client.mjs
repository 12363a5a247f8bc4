// The npm package `sigstore`, driven from the command line with one JSON argument.
//
//   {"do": "sign",   "url", "token", "file", "rekor": 1|2}                 prints a bundle
//   {"do": "attest", "url", "token", "file", "type", "rekor", "entry"}     prints a bundle
//   {"do": "verify", "tuf", "root", "cache", "bundle", "file"?, "san", "issuer"}
//
// Nothing here knows touchplate: the calls are those of the library's own documentation.
import { readFileSync } from 'node:fs';
import { bundleToJSON } from '@sigstore/bundle';
import {
  DSSEBundleBuilder,
  FulcioSigner,
  MessageSignatureBundleBuilder,
  RekorWitness,
  TSAWitness,
} from '@sigstore/sign';
import { verify } from 'sigstore';

const job = JSON.parse(process.argv[2]);

function parts() {
  return {
    signer: new FulcioSigner({
      fulcioBaseURL: job.url,
      identityProvider: { getToken: async () => job.token },
      retry: 0,
    }),
    witnesses: [
      new RekorWitness({
        rekorBaseURL: job.url,
        majorApiVersion: job.rekor,
        entryType: job.entry ?? 'dsse',
        retry: 0,
      }),
      new TSAWitness({ tsaBaseURL: job.url, retry: 0 }),
    ],
  };
}

if (job.do === 'sign') {
  const builder = new MessageSignatureBundleBuilder(parts());
  const bundle = await builder.create({ data: readFileSync(job.file) });
  console.log(JSON.stringify(bundleToJSON(bundle)));
} else if (job.do === 'attest') {
  const builder = new DSSEBundleBuilder(parts());
  const bundle = await builder.create({ data: readFileSync(job.file), type: job.type });
  console.log(JSON.stringify(bundleToJSON(bundle)));
} else if (job.do === 'verify') {
  const bundle = JSON.parse(readFileSync(job.bundle));
  const options = {
    tufMirrorURL: job.tuf,
    tufRootPath: job.root,
    tufCachePath: job.cache,
    certificateIdentityEmail: job.san,
    certificateIssuer: job.issuer,
    retry: 0,
  };
  await (job.file ? verify(bundle, readFileSync(job.file), options) : verify(bundle, options));
  console.log('verified');
} else {
  throw new Error(`no such job: ${job.do}`);
}
