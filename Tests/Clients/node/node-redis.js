import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { BasicClientSideCache, createClient, createClientPool, createCluster, defineScript, RESP_TYPES } from 'redis';

async function connect(port, options = {}) {
  const client = createClient({ socket: { port, reconnectStrategy: () => 50 }, ...options });
  client.on('error', () => {});
  return client.connect();
}

async function session(port, RESP) {
  const client = await connect(port, { RESP, name: 'node-session', database: 5 });
  assert.equal(await client.ping(), 'PONG');
  assert.equal(await client.clientGetName(), 'node-session');
  const me = await client.sendCommand(['CLIENT', 'INFO']);
  assert.match(me, new RegExp(`name=node-session .*db=5 .* resp=${RESP}`));
  if (/redis_version:(7\.[2-9]|[89])/.test(await client.info('server'))) assert.match(me, /lib-name=node-redis lib-ver=\d/);
  assert.equal(await client.set('k', 'v', { expiration: { type: 'PX', value: 90_000 }, condition: 'NX' }), 'OK');
  assert.equal(await client.set('k', 'w', { condition: 'NX' }), null);
  assert.equal(await client.getEx('k', { type: 'PERSIST' }), 'v');
  assert.equal(await client.pTTL('k'), -1);
  assert.equal(await client.getDel('k'), 'v');
  await client.mSet({ a: '10', b: 'ohmytext', c: 'mynewtext' });
  assert.deepEqual(await client.mGet(['a', 'x', 'b']), ['10', null, 'ohmytext']);
  assert.equal(await client.incrBy('a', 5), 15);
  assert.equal(Number(await client.incrByFloat('a', 0.25)), 15.25);
  assert.equal(await client.lcs('b', 'c'), 'mytext');
  const idx = await client.lcsIdxWithMatchLen('b', 'c');
  assert.equal(idx.len, 6);
  assert.deepEqual(idx.matches[0][0], [4, 7]);
  assert.equal(await client.copy('a', 'd'), 1);
  assert.equal(await client.rename('d', 'e'), 'OK');
  assert.equal((await client.configGet('databases')).databases, '16');
  assert.ok((await client.commandCount()) > 100);
  assert.equal((await client.commandInfo(['get']))[0].arity, 2);
  await assert.rejects(client.incr('b'), { message: 'ERR value is not an integer or out of range' });
  await client.close();
}

export const scenarios = {
  async cluster(port) {
    const cluster = createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${port}` }], RESP: 3 });
    cluster.on('error', () => {});
    await cluster.connect();
    await Promise.all(Array.from({ length: 2000 }, (_, i) => cluster.set(`k:${i}`, `${i}`)));
    assert.deepEqual(await Promise.all(Array.from({ length: 2000 }, (_, i) => cluster.get(`k:${i}`))), Array.from({ length: 2000 }, (_, i) => `${i}`));
    assert.deepEqual(await cluster.multi().set('{t}1', '1').incr('{t}1').exec(), ['OK', 2]);
    await assert.rejects(cluster.mGet(['a', 'b']), /CROSSSLOT/);
    assert.equal(await cluster.eval("return redis.call('get', KEYS[1])", { keys: ['{t}1'] }), '2');
    const sharded = new Promise(resolve => cluster.sSubscribe('shard', (text, channel) => resolve([channel, text])).then(() => cluster.sPublish('shard', 'hello')));
    assert.deepEqual(await sharded, ['shard', 'hello']);
    const plain = new Promise(resolve => cluster.subscribe('news', (text, channel) => resolve([channel, text])).then(() => cluster.publish('news', 'hello')));
    assert.deepEqual(await plain, ['news', 'hello']);
    assert.equal(cluster.masters.length, 1);
    await cluster.close(); // which waits for what the client asks of the cluster by itself
  },

  async tls(port, directory) {
    const [ca, cert, key] = ['ca.crt', 'client.crt', 'client.key'].map(name => readFileSync(`${directory}/${name}`));
    const client = createClient({ RESP: 3, socket: { port, host: 'localhost', tls: true, ca, cert, key } });
    client.on('error', () => {});
    await client.connect();
    const values = await Promise.all(Array.from({ length: 5000 }, async (_, i) => { await client.set(`k:${i}`, `${i}`); return client.get(`k:${i}`); }));
    values.forEach((value, i) => assert.equal(value, String(i)));
    assert.deepEqual(await client.multi().set('a', 1).incr('a').exec(), ['OK', 2]);
    await client.close();
  },

  resp2: port => session(port, 2),
  resp3: port => session(port, 3),

  async binaryAndBig(port) {
    const client = (await connect(port, { RESP: 3 })).withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
    const key = Buffer.from([0, 10, 13, 254]);
    const big = Buffer.alloc(10 * 1024 * 1024, 'node');
    await client.set(key, big);
    assert.ok((await client.get(key)).equals(big));
    assert.deepEqual(await client.keys('*'), [key]);
    await client.close();
  },

  async scan(port) {
    const client = await connect(port);
    await Promise.all(Array.from({ length: 4000 }, (_, i) => client.set(`key:${i}`, String(i))));
    const found = new Set();
    for await (const keys of client.scanIterator({ MATCH: 'key:*', COUNT: 300 })) keys.forEach(key => found.add(key));
    assert.equal(found.size, 4000);
    await client.close();
  },

  async pool(port) {
    const pool = await createClientPool({ socket: { port }, RESP: 3 }, { minimum: 2, maximum: 10 }).connect();
    await Promise.all(Array.from({ length: 2000 }, () => pool.incr('counter')));
    assert.equal(await pool.get('counter'), '2000');
    await pool.close();
  },

  async pipeline(port) {
    const client = await connect(port, { RESP: 3 });
    // What is asked in one turn leaves together.
    const many = await Promise.all(Array.from({ length: 10_000 }, (_, i) => client.set(`k:${i}`, String(i))));
    assert.ok(many.every(reply => reply === 'OK'));
    const pipeline = client.multi();
    for (let i = 0; i < 1000; i++) pipeline.incr(`k:${i}`);
    assert.deepEqual(await pipeline.execAsPipeline(), Array.from({ length: 1000 }, (_, i) => i + 1));
    // One that fails does not take the others with it.
    await client.set('text', 'x');
    const settled = await Promise.allSettled([client.set('a', '1'), client.incr('text'), client.get('a')]);
    assert.deepEqual(settled.map(one => one.status), ['fulfilled', 'rejected', 'fulfilled']);
    assert.equal(settled[2].value, '1');
    await client.close();
  },

  async streams(port) {
    const client = await connect(port);
    const worker = await connect(port);
    for (let i = 0; i < 6; i++) await client.xAdd('jobs', `${i + 1}-0`, { n: String(i) });
    assert.equal(await client.xGroupCreate('jobs', 'workers', '0'), 'OK');
    const first = await worker.xReadGroup('workers', 'one', { key: 'jobs', id: '>' }, { COUNT: 2 });
    assert.deepEqual(first[0].messages.map(message => message.id), ['1-0', '2-0']);
    assert.equal(await worker.xAck('jobs', 'workers', '1-0'), 1);
    const pending = await client.xPending('jobs', 'workers');
    assert.equal(pending.pending, 1);
    const claimed = await client.xAutoClaim('jobs', 'workers', 'two', 0, '0-0');
    assert.deepEqual(claimed.messages.map(message => message.message.n), ['1']);
    // Whoever waits gets what comes.
    await worker.xReadGroup('workers', 'one', { key: 'jobs', id: '>' });
    const waiting = worker.xReadGroup('workers', 'one', { key: 'jobs', id: '>' }, { BLOCK: 30_000 });
    await client.xAdd('jobs', '*', { n: 'late' });
    assert.equal((await waiting)[0].messages[0].message.n, 'late');
    assert.equal(await client.xTrim('jobs', 'MAXLEN', 2), 5);
    await Promise.all([client.close(), worker.close()]);
  },

  async pubsub(port) {
    for (const RESP of [2, 3]) {
      const subscriber = await connect(port, { RESP });
      const publisher = await connect(port, { RESP });
      const got = [];
      let done;
      const all = new Promise(resolve => { done = resolve; });
      const hear = kind => (message, channel) => got.push(`${kind} ${channel}=${message}`) === 4 && done();
      await subscriber.subscribe(['news', 'other'], hear('plain'));
      await subscriber.pSubscribe('n*', hear('pattern'));
      await subscriber.sSubscribe('shard', hear('sharded'));
      assert.equal(await publisher.publish('news', 'one'), 2);
      assert.equal(await publisher.publish('other', 'two'), 1);
      assert.equal(await publisher.sPublish('shard', 'three'), 1);
      await all;
      assert.deepEqual(got.sort(), ['pattern news=one', 'plain news=one', 'plain other=two', 'sharded shard=three']);
      assert.deepEqual((await publisher.pubSubChannels()).sort(), ['news', 'other']);
      assert.equal(await publisher.pubSubNumPat(), 1);
      // By name: without one, this client waits for a reply that no server gives.
      await subscriber.unsubscribe(['news', 'other']);
      await subscriber.pUnsubscribe('n*');
      await subscriber.sUnsubscribe('shard');
      assert.equal(await publisher.publish('news', 'nobody'), 0);
      assert.equal(String(await subscriber.ping()), 'PONG');
      await Promise.all([subscriber.close(), publisher.close()]);
    }
  },

  async caching(port) {
    const cache = new BasicClientSideCache({ ttl: 0, maxEntries: 0, evictPolicy: 'LRU' });
    const client = await connect(port, { RESP: 3, clientSideCache: cache });
    const other = await connect(port);
    const invalidated = () => new Promise(resolve => cache.once('invalidate', resolve));
    await other.set('k', '1');
    assert.deepEqual([await client.get('k'), await client.get('k')], ['1', '1']);
    assert.equal(cache.stats().hitCount, 1);
    for (const change of [() => other.set('k', '2'), () => other.del('k'), () => other.flushAll()]) {
      await client.get('k');
      const told = invalidated();
      await change();
      await told;
      assert.equal(await client.get('k'), await other.get('k'));
    }
    await Promise.all([client.close(), other.close()]);
  },

  async restart(port) {
    const client = await connect(port, { RESP: 3, database: 1, name: 'node-restart' });
    await client.set('before', '1');
    const away = new Promise(resolve => client.once('reconnecting', resolve));
    console.log('restart');
    await away;
    assert.equal(await client.set('after', '2'), 'OK');
    assert.match(await client.sendCommand(['CLIENT', 'INFO']), /name=node-restart .*db=1 .*resp=3/);
    await client.close();
  },

  async transaction(port) {
    const client = await connect(port);
    assert.deepEqual(await client.multi().set('a', '1').incr('a').exec(), ['OK', 2]);
    const other = await connect(port);
    await client.watch('a');
    await other.set('a', '7');
    await assert.rejects(client.multi().incr('a').exec(), { name: 'Error', message: /watched keys/i });
    assert.equal(await client.get('a'), '7');
    await Promise.all([client.close(), other.close()]);
  },

  async scripts(port) {
    const script = defineScript({
      NUMBER_OF_KEYS: 1,
      SCRIPT: "return redis.call('incrby', KEYS[1], ARGV[1])",
      parseCommand(parser, key, by) { parser.pushKey(key); parser.push(String(by)); },
      transformReply: reply => reply,
    });
    const client = await connect(port, { scripts: { add: script } });
    for (let i = 1; i <= 5; i++) assert.equal(await client.add('n', 2), i * 2);
    await client.scriptFlush();
    assert.equal(await client.add('n', 2), 12); // told again
    assert.deepEqual(await client.multi().add('n', 1).get('n').exec(), [13, '13']);
    assert.equal(await client.scriptLoad('return 1'), 'e0e1f9fabfc9d4800c877a703b823ac0578ff8db');
    assert.deepEqual(await client.scriptExists(['e0e1f9fabfc9d4800c877a703b823ac0578ff8db', '0'.repeat(40)]), [1, 0]);
    await client.functionLoad("#!lua name=node\nredis.register_function{function_name='sum', callback=function(keys, args) return args[1] + args[2] end, flags={'no-writes'}}", { REPLACE: true });
    assert.equal(await client.fCallRo('sum', { arguments: ['1', '2'] }), 3);
    assert.deepEqual((await client.functionList()).map(library => library.library_name).filter(name => name === 'node'), ['node']);
    await client.functionDelete('node');
    await client.close();
  },
};
