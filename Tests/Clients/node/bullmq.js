import assert from 'node:assert/strict';
import { Queue, QueueEvents, Worker } from 'bullmq';

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
};
