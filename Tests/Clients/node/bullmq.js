import assert from 'node:assert/strict';
import { FlowProducer, Queue, QueueEvents, UnrecoverableError, Worker } from 'bullmq';

/** Opens a queue and its events, runs the scenario, and closes everything that it has opened. */
async function withQueue(name, port, scenario) {
  const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
  const opened = [];
  const open = thing => { opened.push(thing); thing.on('error', () => {}); return thing; };
  const queue = open(new Queue(name, { connection }));
  const events = open(new QueueEvents(name, { connection }));
  await events.waitUntilReady();
  try {
    await scenario({ connection, queue, events, open });
  } finally {
    for (const thing of opened.reverse()) await thing.close();
  }
}

const eventually = async condition => {
  for (const began = Date.now(); !(await condition());) {
    assert.ok(Date.now() - began < 40_000, `never: ${condition}`);
    await new Promise(resolve => setTimeout(resolve, 10));
  }
};

export const scenarios = {
  async queue(port) {
    const connection = { host: '127.0.0.1', port, maxRetriesPerRequest: null };
    const queue = new Queue('work', { connection });
    const events = new QueueEvents('work', { connection });
    await events.waitUntilReady();
    const jobs = await queue.addBulk(Array.from({ length: 50 }, (_, i) => ({ name: 'double', data: { i }, opts: { attempts: 2, backoff: 10, priority: i % 3 } })));
    const failedOnce = new Set();
    const worker = new Worker('work', async job => {
      if (job.data.i % 10 === 0 && !failedOnce.has(job.id)) { failedOnce.add(job.id); throw new Error('try again'); }
      return job.data.i * 2;
    }, { connection, concurrency: 5 });
    const results = await Promise.all(jobs.map(job => job.waitUntilFinished(events, 30_000)));
    assert.deepEqual(results, jobs.map((_, i) => i * 2));
    const delayed = await queue.add('later', { i: 21 }, { delay: 100 });
    assert.equal(await delayed.waitUntilFinished(events, 10_000), 42);
    assert.equal((await queue.getJobCounts('completed')).completed, 51);
    await worker.close();
    await events.close();
    await queue.close();
  },

  delayed: port => withQueue('delayed', port, async ({ connection, queue, events, open }) => {
    const due = [];
    const jobs = [];
    for (const delay of [600, 200, 400]) jobs.push(await queue.add('later', {}, { delay }));
    const cancelled = await queue.add('never', {}, { delay: 3_600_000 });
    const hurried = await queue.add('hurried', {}, { delay: 3_600_000 });
    assert.equal(await queue.getDelayedCount(), 5);
    await hurried.changeDelay(1);
    open(new Worker('delayed', async job => {
      if (job.name === 'hurried') return;
      due.push(job.timestamp + job.opts.delay);
      assert.ok(Date.now() >= due.at(-1), 'too early');
    }, { connection }));
    await Promise.all([...jobs, hurried].map(job => job.waitUntilFinished(events, 30_000)));
    assert.deepEqual(due, due.toSorted((a, b) => a - b));
    await cancelled.remove();
    assert.deepEqual(await queue.getJobCounts('delayed', 'completed', 'failed'), { delayed: 0, completed: 4, failed: 0 });
  }),

  repeated: port => withQueue('repeated', port, async ({ connection, queue, open }) => {
    let runs = 0;
    open(new Worker('repeated', async () => { runs++; }, { connection }));
    await queue.upsertJobScheduler('tick', { every: 100, limit: 4 }, { name: 'tick', data: {} });
    assert.equal((await queue.getJobSchedulers()).length, 1);
    await eventually(() => runs === 4);
    await eventually(async () => (await queue.getJobCounts('completed')).completed === 4);
    // One by the clock, of which the next run is far away, and which is taken back.
    await queue.upsertJobScheduler('yearly', { pattern: '0 0 1 1 *' }, { name: 'yearly' });
    assert.equal(await queue.getDelayedCount(), 1);
    assert.ok(await queue.removeJobScheduler('yearly'));
    assert.equal(await queue.getDelayedCount(), 0);
    assert.equal(runs, 4);
  }),

  failing: port => withQueue('failing', port, async ({ connection, queue, events, open }) => {
    let isBroken = true;
    const worker = open(new Worker('failing', async job => {
      if (job.name === 'hopeless') throw new UnrecoverableError('no use');
      if (isBroken) throw new Error(`attempt ${job.attemptsMade + 1}`);
      return 'repaired';
    }, { connection }));
    const job = await queue.add('fragile', {}, { attempts: 3, backoff: { type: 'exponential', delay: 20 } });
    await assert.rejects(job.waitUntilFinished(events, 30_000), /attempt 3/);
    assert.equal(await job.getState(), 'failed');
    const failed = await queue.getJob(job.id);
    assert.equal(failed.attemptsMade, 3);
    assert.equal(failed.stacktrace.length, 3);
    const hopeless = await queue.add('hopeless', {}, { attempts: 10 });
    await assert.rejects(hopeless.waitUntilFinished(events, 30_000), /no use/);
    isBroken = false;
    await failed.retry();
    await eventually(async () => (await failed.getState()) === 'completed');
    assert.equal((await queue.getJob(job.id)).returnvalue, 'repaired');
    // Paused, nothing is taken; and what is finished can be cleared away.
    await queue.pause();
    const waiting = await queue.add('fragile', {}, { removeOnComplete: true });
    assert.equal(await queue.isPaused(), true);
    assert.equal((await queue.getJobCounts('paused')).paused, 1);
    await queue.resume();
    await waiting.waitUntilFinished(events, 30_000);
    assert.equal(await queue.getJob(waiting.id), undefined);
    assert.deepEqual(await queue.clean(0, 10, 'failed'), [hopeless.id]);
    await worker.close();
    await queue.obliterate();
    assert.equal(await queue.count(), 0);
  }),

  flow: port => withQueue('flow', port, async ({ connection, queue, events, open }) => {
    open(new Worker('parts', async job => { if (job.data.fails) throw new Error('a part fails'); return job.data.n; }, { connection, concurrency: 3 }));
    open(new Worker('flow', async job => Object.values(await job.getChildrenValues()).reduce((sum, n) => sum + n, 0), { connection }));
    const flows = open(new FlowProducer({ connection }));
    const part = data => ({ name: 'part', queueName: 'parts', data, opts: { failParentOnFailure: true } });
    const { job } = await flows.add({
      name: 'sum', queueName: 'flow', children: [1, 2, 3].map(n => part({ n })).concat({ name: 'sum', queueName: 'flow', children: [10, 20].map(n => part({ n })) }),
    });
    assert.equal(await job.waitUntilFinished(events, 30_000), 36);
    const broken = await flows.add({ name: 'sum', queueName: 'flow', children: [part({ n: 1 }), part({ fails: true })] });
    await assert.rejects(broken.job.waitUntilFinished(events, 30_000), /failed/);
    assert.equal(await broken.job.getState(), 'failed');
  }),

  stalled: port => withQueue('stalled', port, async ({ connection, queue, events, open }) => {
    const quick = { connection, lockDuration: 300, stalledInterval: 100 };
    let started;
    const isStarted = new Promise(resolve => { started = resolve; });
    // This worker takes the job and is heard of no more.
    const lost = new Worker('stalled', () => { started(); return new Promise(() => {}); }, { ...quick, skipLockRenewal: true, skipStalledCheck: true });
    lost.on('error', () => {});
    const job = await queue.add('work', {});
    await isStarted;
    open(new Worker('stalled', async () => 'done by another', { ...quick, maxStalledCount: 100 }));
    assert.equal(await job.waitUntilFinished(events, 30_000), 'done by another');
    await lost.close(true);
  }),

  limited: port => withQueue('limited', port, async ({ connection, queue, events, open }) => {
    const began = Date.now();
    const order = [];
    const jobs = await queue.addBulk(Array.from({ length: 6 }, (_, i) => ({ name: 'work', data: { i }, opts: { priority: 10 - i } })));
    open(new Worker('limited', async job => { order.push(job.data.i); }, { connection, limiter: { max: 2, duration: 200 } }));
    await Promise.all(jobs.map(job => job.waitUntilFinished(events, 30_000)));
    assert.deepEqual(order, [5, 4, 3, 2, 1, 0]);
    assert.ok(Date.now() - began >= 300); // two at a time, a fifth of a second apart
  }),
};
