using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>A server may come and go in a process that goes on: nothing of it runs once it is disposed of.</summary>
public sealed class StartAndStopTests
{
    private const int Rounds = 30;

    /// <summary>
    /// What would still run (a timer, a loop, a saver) throws on a thread of the pool, and that ends this process.
    /// </summary>
    [Fact]
    public async Task Servers_start_and_stop_any_number_of_times_with_clients_in_the_middle_of_things()
    {
        await Task.WhenAll(Enumerable.Range(0, 4).Select(number => Task.Run(async () =>
        {
            var random = TestSeed.Random(number);
            for (int i = 0; i < Rounds; i++)
            {
                bool logs = i % 2 == 0;
                InProcessServer server = await InProcessServer.StartAsync(options =>
                {
                    options.AppendOnly = logs;
                    options.AppendFsync = (AppendFsync)random.Next(3);
                    options.IoThreads = 1;
                }, files =>
                {
                    if (!logs) return;
                    files.Aof.Load(CancellationToken.None);
                    files.Aof.Open();
                    files.Aof.Start();
                });
                RespConnection busy = await server.ConnectAsync(), waiting = await server.ConnectAsync();
                await waiting.SendAsync("BLPOP", "list", "0");
                Task traffic = SendUntilItEndsAsync(busy);
                // Housekeeping comes every 100 ms, so that some servers end while it runs.
                await Task.Delay(i % 3 == 0 ? 95 + random.Next(15) : random.Next(5));
                await server.DisposeAsync();
                await traffic;
                await busy.DisposeAsync();
                await waiting.DisposeAsync();
            }
        }))).WaitAsync(Eventually.Deadline);
    }

    private static async Task SendUntilItEndsAsync(RespConnection redis)
    {
        try
        {
            while (true) await redis.PipelineAsync(["SET", "key", "1", "PX", "20"], ["GET", "key"], ["RPUSH", "list", "1"]);
        }
        catch (IOException)
        {
            // The server has ended.
        }
    }
}
