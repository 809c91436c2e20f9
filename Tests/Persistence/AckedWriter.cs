using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Persistence;

/// <summary>
/// A client that writes as fast as it is answered and remembers when each write was acknowledged, across restarts of
/// its server. Each step writes marks, in one slot and in several, that must all be there or none, in the order of the
/// steps.
/// </summary>
internal sealed class AckedWriter(int number)
{
    private const int StepsAtOnce = 4, RepliesPerStep = 7;

    private readonly ConcurrentQueue<(long At, long Steps)> _acknowledged = new();
    private readonly string _name = $"{{w{number}}}";   // the keys of the list and the counter share a slot
    private readonly string _far = $"far{number}";      // the other keys are in other slots
    private long _sent;
    private long _acked;

    /// <summary>How many steps the server has acknowledged.</summary>
    public long Acknowledged => Volatile.Read(ref _acked);

    /// <summary>Writes until the server is gone, or refuses to.</summary>
    public async Task RunAsync(RedisProcess server)
    {
        try
        {
            await using RespConnection redis = await server.ConnectAsync();
            while (true)
            {
                var commands = new List<RespArgument[]>();
                for (int i = 0; i < StepsAtOnce; i++) AddStep(commands, ++_sent);
                foreach (RespArgument[] command in commands) await redis.SendAsync(command);
                for (int i = 0; i < StepsAtOnce; i++)
                {
                    for (int reply = 0; reply < RepliesPerStep; reply++)
                    {
                        RespValue value = await redis.ReadAsync();
                        Assert.False(value.IsError, value.ToString());
                    }
                    _acked++;
                    _acknowledged.Enqueue((Stopwatch.GetTimestamp(), _acked));
                }
            }
        }
        catch (Exception gone) when (gone is IOException or SocketException)
        {
            // Killed. What was sent but not answered may or may not have happened.
        }
    }

    /// <summary>
    /// Checks what the server has after a restart: every step is there whole or not at all, none is missing before a
    /// later one, all those acknowledged up to <paramref name="mustHaveUntil"/> are there, and none that was never
    /// sent. Then continues from there.
    /// </summary>
    public async Task VerifyAsync(RespConnection redis, long mustHaveUntil = long.MaxValue)
    {
        long least = 0;
        foreach ((long at, long steps) in _acknowledged)
        {
            if (at <= mustHaveUntil) least = steps;
        }
        long counter = await NumberAsync(redis, $"{_name}:counter");
        Assert.InRange(counter, least, _sent);
        Assert.Equal(counter, (await redis.CallAsync("LLEN", $"{_name}:list")).Integer);
        if (counter > 0)
        {
            Assert.Equal(counter, (await redis.CallAsync("LINDEX", $"{_name}:list", -1)).Integer);
            Assert.Equal(counter, (await redis.CallAsync("HGET", $"{_name}:hash", counter % 50)).Integer);
        }
        // The pair was written after the transaction of the same step, so it may be one step behind. Its two keys are
        // in different slots.
        long pair = await NumberAsync(redis, $"{_far}:a");
        Assert.Equal(pair, await NumberAsync(redis, $"{_far}:b"));
        Assert.InRange(pair, Math.Max(least, counter - 1), counter);
        RespValue set = await redis.CallAsync("SCARD", $"{_far}:set");
        Assert.InRange(set.Integer, pair - 1, pair);

        // What is missing is done again, as a client would.
        _sent = _acked = pair;
        if (counter == pair + 1 || set.Integer == pair - 1)
        {
            var rest = new List<RespArgument[]>();
            if (set.Integer == pair - 1) rest.Add(["SADD", $"{_far}:set", pair]);
            if (counter == pair + 1)
            {
                rest.Add(["MSET", $"{_far}:a", counter, $"{_far}:b", counter]);
                rest.Add(["SADD", $"{_far}:set", counter]);
                _sent = _acked = counter;
            }
            foreach (RespValue reply in await redis.PipelineAsync(rest)) Assert.False(reply.IsError, reply.ToString());
        }
        _acknowledged.Clear();
        _acknowledged.Enqueue((0, Math.Min(least, _acked)));
    }

    private void AddStep(List<RespArgument[]> commands, long step)
    {
        commands.Add(["MULTI"]);
        commands.Add(["INCR", $"{_name}:counter"]);
        commands.Add(["RPUSH", $"{_name}:list", step]);
        commands.Add(["HSET", $"{_name}:hash", step % 50, step]);
        commands.Add(["EXEC"]);
        commands.Add(["MSET", $"{_far}:a", step, $"{_far}:b", step]);
        commands.Add(["SADD", $"{_far}:set", step]);
    }

    private static async Task<long> NumberAsync(RespConnection redis, string key)
    {
        RespValue value = await redis.CallAsync("GET", key);
        return value.IsNull ? 0 : long.Parse(value.Text, CultureInfo.InvariantCulture);
    }
}
