import assert from 'node:assert/strict';
import { BasicClientSideCache, createClient, createClientPool, RESP_TYPES } from 'redis';

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
    pool.destroy();
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
    client.destroy();
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
};
