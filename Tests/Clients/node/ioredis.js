import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import Redis from 'ioredis';

const binary = Buffer.from([0, 13, 10, 255, 128, 42]);

export const scenarios = {
  async session(port) {
    const redis = new Redis({ port, db: 3, connectionName: 'io-session' });
    assert.equal(await redis.ping(), 'PONG');
    assert.equal(await redis.client('GETNAME'), 'io-session');
    assert.match(await redis.client('LIST'), /name=io-session .*db=3 /);
    assert.equal(await redis.set('user:1', 'Zoë', 'EX', 100, 'NX'), 'OK');
    assert.equal(await redis.set('user:1', 'other', 'NX'), null);
    assert.equal(await redis.get('user:1'), 'Zoë');
    assert.ok((await redis.ttl('user:1')) > 95);
    assert.equal(await redis.persist('user:1'), 1);
    assert.equal(await redis.ttl('user:1'), -1);
    assert.equal(await redis.mset({ a: '1', b: '2' }), 'OK');
    assert.deepEqual(await redis.mget('a', 'none', 'b'), ['1', null, '2']);
    assert.equal(await redis.incrby('a', 41), 42);
    assert.equal(await redis.incrbyfloat('b', '0.5'), '2.5');
    assert.equal(await redis.getrange('user:1', 0, 1), 'Zo');
    assert.equal(await redis.exists('a', 'a', 'none'), 2);
    assert.equal(await redis.type('a'), 'string');
    assert.equal(await redis.dbsize(), 3);
    assert.equal(await redis.select(4), 'OK');
    assert.equal(await redis.dbsize(), 0);
    assert.match(await redis.info('server'), /redis_version:\d+\.\d+\.\d+/);
    assert.deepEqual(await redis.config('GET', 'timeout'), ['timeout', '0']);
    await redis.quit();
  },

  async tls(port, directory) {
    const [ca, cert, key] = ['ca.crt', 'client.crt', 'client.key'].map(name => readFileSync(`${directory}/${name}`));
    const redis = new Redis({ port, host: 'localhost', tls: { ca, cert, key } });
    const pipeline = redis.pipeline();
    for (let i = 0; i < 10_000; i++) pipeline.set(`k:${i}`, i);
    assert.equal((await pipeline.exec()).length, 10_000);
    const big = Buffer.alloc(5 * 1024 * 1024, 'abcdefghij');
    await redis.set('big', big);
    assert.ok((await redis.getBuffer('big')).equals(big));
    await redis.quit();
    // Who does not show a certificate is turned away.
    const stranger = new Redis({ port, host: 'localhost', tls: { ca }, retryStrategy: null, maxRetriesPerRequest: 0 });
    stranger.on('error', () => {});
    await assert.rejects(stranger.ping());
  },

  async cluster(port) {
    const cluster = new Redis.Cluster([{ host: '127.0.0.1', port }]);
    const node = new Redis({ port });
    assert.equal(await cluster.set('greeting', 'hello'), 'OK');
    assert.equal(await cluster.get('greeting'), 'hello');
    await Promise.all(Array.from({ length: 2000 }, (_, i) => cluster.set(`k:${i}`, i)));
    assert.deepEqual(await Promise.all(Array.from({ length: 2000 }, (_, i) => cluster.get(`k:${i}`))), Array.from({ length: 2000 }, (_, i) => String(i)));
    assert.deepEqual(await cluster.mget('{t}1', '{t}2'), [null, null]);
    await assert.rejects(cluster.mget('a', 'b'), /CROSSSLOT/);
    assert.deepEqual(await cluster.multi().set('{t}1', 'x').append('{t}1', 'y').get('{t}1').exec(), [[null, 'OK'], [null, 2], [null, 'xy']]);
    assert.deepEqual(await cluster.pipeline().set('{t}2', '1').incr('{t}2').exec(), [[null, 'OK'], [null, 2]]);
    assert.equal(await cluster.eval("return redis.call('get', KEYS[1])", 1, '{t}2'), '2');
    const subscriber = new Redis.Cluster([{ host: '127.0.0.1', port }]);
    const message = new Promise(resolve => subscriber.on('message', (channel, text) => resolve([channel, text])));
    await subscriber.subscribe('news');
    await cluster.publish('news', 'hello');
    assert.deepEqual(await message, ['news', 'hello']);
    const keys = [];
    for (const master of cluster.nodes('master')) for await (const some of master.scanStream({ count: 500 })) keys.push(...some);
    assert.equal(new Set(keys).size, await node.dbsize());
    await Promise.all([cluster.quit(), subscriber.quit(), node.quit()]);
  },

  async pipeline(port) {
    const redis = new Redis({ port, enableAutoPipelining: false });
    const pipeline = redis.pipeline();
    for (let i = 0; i < 10_000; i++) pipeline.set(`k:${i}`, i).incr(`k:${i}`);
    const replies = await pipeline.exec();
    assert.equal(replies.length, 20_000);
    replies.forEach(([error, reply], i) => { assert.equal(error, null); assert.equal(reply, i % 2 ? (i - 1) / 2 + 1 : 'OK'); });
    // An error in the middle is that command's alone.
    const mixed = await redis.pipeline().set('s', 'text').incr('s').get('s').exec();
    assert.deepEqual(mixed.map(([error, reply]) => error?.message ?? reply), ['OK', 'ERR value is not an integer or out of range', 'text']);
    // The same by automatic pipelining, from many callers at once.
    const eager = new Redis({ port, enableAutoPipelining: true });
    const values = await Promise.all(Array.from({ length: 5000 }, (_, i) => eager.get(`k:${i}`)));
    values.forEach((value, i) => assert.equal(value, String(i + 1)));
    eager.disconnect();
    await redis.quit();
  },

  async binaryAndBig(port) {
    const redis = new Redis({ port, keyPrefix: 'p:' });
    await redis.set(binary, binary);
    assert.deepEqual(await redis.getBuffer(binary), binary);
    const big = Buffer.alloc(10 * 1024 * 1024, 'abcdefghij');
    assert.equal(await redis.set('big', big), 'OK');
    assert.equal(await redis.strlen('big'), big.length);
    assert.ok((await redis.getBuffer('big')).equals(big));
    assert.equal((await redis.getrange('big', -10, -1)).length, 10);
    const eight = await Promise.all(Array.from({ length: 8 }, () => redis.getBuffer('big')));
    assert.ok(eight.every(copy => copy.equals(big)));
    await redis.quit();
  },

  async scan(port) {
    const redis = new Redis({ port });
    const pipeline = redis.pipeline();
    for (let i = 0; i < 5000; i++) pipeline.set(`${i % 5 ? 'x' : 'y'}:${i}`, i);
    await pipeline.exec();
    const found = new Set();
    for await (const keys of redis.scanStream({ match: 'y:*', count: 200, type: 'string' })) keys.forEach(key => found.add(key));
    assert.equal(found.size, 1000);
    await redis.quit();
  },

  async expiry(port) {
    const redis = new Redis({ port });
    const began = Date.now();
    await redis.psetex('short', 60, 'v');
    while ((await redis.get('short')) !== null) assert.ok(Date.now() - began < 30_000);
    assert.ok(Date.now() - began >= 50); // the server's clock may be a few milliseconds behind
    await redis.psetex('long', 600_000, 'v');
    assert.equal(await redis.get('long'), 'v');
    assert.equal(await redis.exists('short'), 0);
    await redis.quit();
  },

  async restart(port) {
    const redis = new Redis({ port, db: 2, connectionName: 'io-restart', retryStrategy: () => 50, maxRetriesPerRequest: null });
    await redis.set('before', '1');
    redis.on('error', () => {}); // refused connections while the server is away
    const closed = new Promise(resolve => redis.once('close', resolve));
    console.log('restart');
    await closed;
    // The offline queue holds these until the server is back; database and name are restored first.
    assert.equal(await redis.set('after', '2'), 'OK');
    assert.equal(await redis.client('GETNAME'), 'io-restart');
    assert.match(await redis.client('INFO'), / db=2 /);
    redis.disconnect();
  },

  async transaction(port) {
    const redis = new Redis({ port });
    assert.deepEqual(await redis.multi().set('a', 1).incr('a').get('a').exec(), [[null, 'OK'], [null, 2], [null, '2']]);
    const other = new Redis({ port });
    await redis.watch('a');
    await other.set('a', 'changed');
    assert.equal(await redis.multi().set('a', 'mine').exec(), null);
    assert.equal(await redis.get('a'), 'changed');
    await assert.rejects(redis.multi().set('a').exec(), /EXECABORT/);
    other.disconnect();
    await redis.quit();
  },

  async pubsub(port) {
    const subscriber = new Redis({ port });
    const publisher = new Redis({ port });
    const got = [];
    const three = new Promise(resolve => {
      subscriber.on('message', (channel, message) => got.push(`${channel}=${message}`) === 3 && resolve());
      subscriber.on('pmessage', (pattern, channel, message) => got.push(`${pattern}/${channel}=${message}`) === 3 && resolve());
    });
    assert.equal(await subscriber.subscribe('news'), 1);
    assert.equal(await subscriber.psubscribe('n?ws'), 2);
    assert.equal(await publisher.publish('news', 'one'), 2);
    assert.equal(await publisher.publish('nows', 'two'), 1);
    await three;
    assert.deepEqual(got.sort(), ['n?ws/news=one', 'n?ws/nows=two', 'news=one']);
    subscriber.disconnect();
    publisher.disconnect();
  },

  // This client has no cache of its own: tracking as a client of RESP2 uses it, with a second connection.
  async caching(port) {
    const listener = new Redis({ port });
    const redis = new Redis({ port });
    const other = new Redis({ port });
    const told = [];
    let wake = () => {};
    listener.on('message', (channel, keys) => { told.push(`${channel} ${keys}`); wake(); });
    const next = async () => {
      while (!told.length) await new Promise(resolve => { wake = resolve; });
      return told.shift();
    };
    const target = await listener.client('ID');
    await listener.subscribe('__redis__:invalidate');
    assert.equal(await redis.client('TRACKING', 'ON', 'REDIRECT', target), 'OK');
    assert.equal(await redis.client('GETREDIR'), target);
    for (const change of [() => other.set('k', 'v'), () => other.del('k'), () => other.mset('k', 1, 'l', 2)]) {
      await redis.get('k');
      await change();
      assert.equal(await next(), '__redis__:invalidate k');
    }
    // By prefixes, whether or not it has read the keys.
    await redis.client('TRACKING', 'OFF');
    await redis.client('TRACKING', 'ON', 'REDIRECT', target, 'BCAST', 'PREFIX', 'user:');
    await other.set('nobody', 1);
    await other.set('user:1', 1);
    assert.equal(await next(), '__redis__:invalidate user:1');
    assert.deepEqual(told, []);
    [listener, redis, other].forEach(client => client.disconnect());
  },

  async scripts(port) {
    const redis = new Redis({ port, enableAutoPipelining: false });
    redis.defineCommand('incrementIfBelow', {
      numberOfKeys: 1,
      lua: `local n = tonumber(redis.call('get', KEYS[1]) or '0')
            if n < tonumber(ARGV[1]) then return redis.call('incr', KEYS[1]) end
            return redis.error_reply('FULL ' .. n)`,
    });
    for (let i = 1; i <= 3; i++) assert.equal(await redis.incrementIfBelow('n', 3), i);
    await assert.rejects(redis.incrementIfBelow('n', 3), /FULL 3/);
    // In a pipeline and in a transaction; the server has forgotten the script, and is told it again.
    await redis.script('FLUSH');
    const replies = await redis.pipeline().del('n').incrementIfBelow('n', 1).incrementIfBelow('n', 1).exec();
    assert.deepEqual(replies.map(([error, reply]) => error?.message.slice(0, 4) ?? reply), [1, 1, 'FULL']);
    assert.deepEqual(await redis.multi().set('n', 5).incrementIfBelow('n', 9).exec(), [[null, 'OK'], [null, 6]]);
    assert.deepEqual(await redis.eval('return {KEYS[1], ARGV[1], 3.9, false, {ok = "fine"}}', 1, 'k', 'a'), ['k', 'a', 3, null, 'fine']);
    await redis.call('FUNCTION', 'LOAD', 'REPLACE', "#!lua name=io\nredis.register_function('double', function(keys, args) return args[1] * 2 end)");
    assert.equal(await redis.call('FCALL', 'double', 0, 21), 42);
    await redis.quit();
  },

  async blocking(port) {
    const consumer = new Redis({ port });
    const producer = new Redis({ port });
    const popped = consumer.blpop('queue', 10);
    assert.equal(await producer.rpush('queue', 'job'), 1);
    assert.deepEqual(await popped, ['queue', 'job']);
    assert.equal(await consumer.blpop('queue', 0.05), null);
    consumer.disconnect();
    producer.disconnect();
  },

  async collections(port) {
    const redis = new Redis({ port });
    await redis.hset('h', { name: 'Ada', born: 1815 });
    assert.deepEqual(await redis.hgetall('h'), { name: 'Ada', born: '1815' });
    await redis.rpush('l', 1, 2, 3);
    assert.deepEqual(await redis.lrange('l', 0, -1), ['1', '2', '3']);
    await redis.sadd('s', 'a', 'b', 'a');
    assert.deepEqual((await redis.smembers('s')).sort(), ['a', 'b']);
    await redis.zadd('z', 1.5, 'one', '-inf', 'least');
    assert.deepEqual(await redis.zrange('z', 0, -1, 'WITHSCORES'), ['least', '-inf', 'one', '1.5']);
    const id = await redis.xadd('x', '*', 'field', 'value');
    assert.deepEqual(await redis.xrange('x', '-', '+'), [[id, ['field', 'value']]]);
    await redis.quit();
  },
};
