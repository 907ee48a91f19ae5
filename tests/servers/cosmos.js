// A Cosmos DB server for tests: @vercel/cosmosdb-server, with the behaviour mended in-process that our code relies on.
// Usage: node cosmos.js MODULES PORT, where MODULES is the node_modules folder that the server is installed in.
//
// What it is stricter in than the server as published: a missing item reads as 404 and not as 500; a query with a partition key
// sees that partition only; a transactional batch is all or nothing, and its operations see the partition of the request;
// a container that is not there is 404 for every request; items and requests over 2 MB are 413; connections stay open.
// What it still lacks: request charges (1 for every request), 429, GROUP BY, DISTINCT, more than one physical partition.
"use strict";

const { AsyncLocalStorage } = require("async_hooks");
const path = require("path");

const [modules, port] = process.argv.slice(2);
const lib = path.join(modules, "@vercel/cosmosdb-server/lib");
const handler = (name) => require(path.join(lib, "handler", name));
const operations = handler("_document-operations");
const readJson = require(path.join(lib, "json")).default;
const Documents = require(path.join(lib, "account/documents")).default;
const Items = require(path.join(lib, "account/items")).default;

const PARTITION = "x-ms-documentdb-partitionkey";
const MOST_BYTES = 2 * 1024 * 1024;
const MOST_OPERATIONS = 100;
const NO_ITEM = { code: "NotFound", message: "Entity with the specified id does not exist in the system." };
const NO_CONTAINER = { code: "NotFound", message: "Owner resource does not exist" };
const TOO_LARGE = { code: "RequestEntityTooLarge", message: "Request size is too large" };
const OWNER_MISSING = "1003";

function answer(res, status, body) {
  res.statusCode = status;
  return body;
}

/** Replace a handler by one that is given the container and the handler that was there before. */
function mend(name, better) {
  const plain = handler(name).default;
  handler(name).default = async (account, req, res, params) => {
    const container = account.database(params.dbId).collection(params.collId);
    if (!container.read()) {
      res.setHeader("x-ms-substatus", OWNER_MISSING);
      return answer(res, 404, NO_CONTAINER);
    }
    return better({ container, req, res, params }, () => plain(account, req, res, params));
  };
}

function partitionOf(container, item) {
  const [first] = container.read().partitionKey.paths;
  return first.slice(1).split("/").reduce((value, key) => (value == null ? undefined : value[key]), item);
}

/** The partition key of the request, undefined when it has none. */
function asked(req) {
  const key = JSON.parse(req.headers[PARTITION] || "[{}]")[0];
  return typeof key === "object" ? undefined : key;
}

mend("read-document", ({ container, req, res, params }) => {
  const found = operations.readOperation(container, { partitionKey: req.headers[PARTITION], id: params.docId });
  const there = found.statusCode === 200 && partitionOf(container, found.body) === asked(req);
  return there ? answer(res, 200, found.body) : answer(res, 404, NO_ITEM);
});

for (const name of ["create-document", "upsert-document", "replace-document"]) {
  mend(name, ({ req, res }, plain) => (Number(req.headers["content-length"]) > MOST_BYTES ? answer(res, 413, TOO_LARGE) : plain()));
}
mend("delete-document", (_, plain) => plain());

// A query looks at `_data` of the container: while one with a partition key runs, only that partition is in it.
const partition = new AsyncLocalStorage();
Documents.prototype.query = function query(body, options) {
  const key = partition.getStore();
  if (key === undefined) return Items.prototype.query.call(this, body, options);
  const all = this._data;
  this._data = new Map([...all].filter(([, item]) => partitionOf(this._parent, item.read()) === key));
  try {
    return Items.prototype.query.call(this, body, options);
  } finally {
    this._data = all;
  }
};
mend("query-documents", ({ req }, plain) => {
  req.headers["x-ms-documentdb-query-enablecrosspartition"] = "true";
  return partition.run(asked(req), plain);
});

const VERBS = {
  Create: operations.createOperation,
  Upsert: operations.upsertOperation,
  Replace: operations.replaceOperation,
  Delete: operations.deleteOperation,
  Read: operations.readOperation,
};

mend("batch-documents", async ({ container, req, res }) => {
  const batch = await readJson(req);
  if (Number(req.headers["content-length"]) > MOST_BYTES) return answer(res, 413, TOO_LARGE);
  if (batch.length > MOST_OPERATIONS) return answer(res, 400, { code: "BadRequest", message: "Batch request has more operations" });
  const { documents } = container;
  const before = [new Map(documents._data), new Map(documents._index)];
  const results = [];
  for (const operation of batch) {
    const input = { ...operation, partitionKey: req.headers[PARTITION] };
    const foreign = operation.resourceBody && partitionOf(container, operation.resourceBody) !== asked(req);
    const { statusCode, body } = foreign ? { statusCode: 400 } : VERBS[operation.operationType](container, input);
    if (statusCode >= 400) {
      [documents._data, documents._index] = before;
      res.statusCode = 207;
      return batch.map((_, place) => ({ statusCode: place === results.length ? statusCode : 424, requestCharge: 0 }));
    }
    results.push({ statusCode, requestCharge: 1, eTag: body && body._etag, resourceBody: body });
  }
  return results;
});

const server = require(path.join(lib, "index.js")).createHttpServer({ keepAlive: true });
server.keepAliveTimeout = 60000;
server.listen(Number(port), "127.0.0.1");
