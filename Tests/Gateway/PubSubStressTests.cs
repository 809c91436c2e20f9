using System.Globalization;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>Publishers and subscribers that come and go on several threads.</summary>
public sealed class PubSubStressTests
{
    private const int Publishers = 4, Channels = 3, Subscribers = 6, Depth = 50;

    /// <summary>Each publisher sends so many messages, and more until enough of them have been heard.</summary>
    private const int LeastMessages = 1500, LeastHeard = 3 * Subscribers;

    private int heardSubscriptions;

    /// <summary>
    /// Each message names its publisher and its number. From the confirmation of a subscription to that of its end, a
    /// subscriber must get every message of each publisher, in order and without a gap; after the end none; and all
    /// subscribers of a channel must get its messages in one and the same order.
    /// </summary>
    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public async Task Nothing_is_lost_or_out_of_order_while_subscribed(bool pipelined, bool byPattern)
    {
        await using InProcessServer server = await InProcessServer.StartAsync(options => options.IoThreads = 3);
        await using RespConnection witness = await server.ConnectAsync(), closing = await server.ConnectAsync();
        for (int channel = 0; channel < Channels; channel++) await witness.LineAsync($"SUBSCRIBE c{channel}");
        using CancellationTokenSource over = new();
        Task<List<string>[]> witnessing = Task.Run(() => WitnessAsync(witness));
        Task<List<Heard>>[] subscribers =
            [.. Enumerable.Range(0, Subscribers).Select(number => Task.Run(() => SubscribeAsync(server, number, byPattern, over.Token)))];
        int[] sent = await Task.WhenAll(Enumerable.Range(0, Publishers).Select(number => Task.Run(() => PublishAsync(server, number, pipelined))));
        await over.CancelAsync();
        List<Heard>[] heard = await Task.WhenAll(subscribers);
        for (int channel = 0; channel < Channels; channel++) await closing.LineAsync($"PUBLISH c{channel} end");
        List<string>[] all = await witnessing;
        for (int channel = 0; channel < Channels; channel++)
        {
            // Every publisher's messages are there, in its order.
            for (int publisher = 0; publisher < Publishers; publisher++)
            {
                string prefix = $"{publisher}:";
                string[] mine = [.. all[channel].Where(message => message.StartsWith(prefix, StringComparison.Ordinal))];
                Assert.Equal(Enumerable.Range(0, sent[publisher]).Where(i => i % Channels == channel).Select(i => $"{publisher}:{i}"), mine);
            }
        }

        foreach (Heard one in heard.SelectMany(list => list))
        {
            if (one.Messages.Count == 0) continue;
            // What was heard is a piece of what there was: nothing is missing in it, nothing stands elsewhere.
            int begin = all[one.Channel].IndexOf(one.Messages[0]);
            Assert.True(begin >= 0, one.Messages[0]);
            Assert.Equal(all[one.Channel].Skip(begin).Take(one.Messages.Count), one.Messages);
        }

        await Eventually.TrueAsync(() => server.Server.PubSub.CountPatterns() == 0 && server.Server.PubSub.CountChannels(isSharded: false) == Channels);
    }

    /// <summary>Returns how many messages it has sent.</summary>
    private async Task<int> PublishAsync(InProcessServer server, int number, bool pipelined)
    {
        await using RespConnection publisher = await server.ConnectAsync();
        int sent = 0;
        while (sent < LeastMessages || Volatile.Read(ref heardSubscriptions) < LeastHeard)
        {
            RespArgument[][] batch =
                [.. Enumerable.Range(sent, pipelined ? Depth : 1).Select(i => (RespArgument[])["PUBLISH", $"c{i % Channels}", $"{number}:{i}"])];
            foreach (RespValue reply in await publisher.PipelineAsync(batch)) Assert.True(reply.Integer >= 1, reply.ToString());
            sent += batch.Length;
        }
        return sent;
    }

    private static async Task<List<string>[]> WitnessAsync(RespConnection witness)
    {
        List<string>[] all = [.. Enumerable.Range(0, Channels).Select(_ => new List<string>())];
        for (int ended = 0; ended < Channels;)
        {
            RespValue message = await witness.ReadAsync();
            if (message[2].Text == "end") ended++;
            else all[NumberOf(message[1])].Add(message[2].Text);
        }
        return all;
    }

    /// <summary>Subscribes to one channel after another, now and then by way of a new connection.</summary>
    private async Task<List<Heard>> SubscribeAsync(InProcessServer server, int number, bool byPattern, CancellationToken over)
    {
        Random random = TestSeed.Random(number);
        List<Heard> all = [];
        while (!over.IsCancellationRequested)
        {
            await using RespConnection subscriber = await server.ConnectAsync();
            bool resp3 = random.Next(2) == 0;
            if (resp3) await subscriber.HelloAsync();
            string kind = byPattern ? "p" : "";
            for (int turn = random.Next(1, 10); turn > 0; turn--)
            {
                int channel = random.Next(Channels);
                string name = byPattern ? $"c[{channel}]" : $"c{channel}";
                Heard heard = new(channel, []);
                await subscriber.SendAsync(kind + "subscribe", name);
                Assert.Equal(kind + "subscribe", (await NextAsync())[0].Text);
                for (int round = random.Next(20); round > 0; round--)
                {
                    await subscriber.SendAsync("PING");
                    if (resp3)
                    {
                        await subscriber.ReadAsync();
                        while (subscriber.Pushes.TryDequeue(out RespValue? message)) Hear(message);
                    }
                    else
                    {
                        await HearUntilAsync("pong");
                    }
                }
                await subscriber.SendAsync(kind + "unsubscribe", name);
                Assert.Equal(0, (await HearUntilAsync(kind + "unsubscribe"))[2].Integer);
                all.Add(heard);
                if (heard.Messages.Count > 0) Interlocked.Increment(ref heardSubscriptions);

                async Task<RespValue> HearUntilAsync(string end)
                {
                    while (true)
                    {
                        RespValue message = await NextAsync();
                        if (message[0].Text == end) return message;
                        Hear(message);
                    }
                }

                void Hear(RespValue message)
                {
                    Assert.Equal(kind + "message", message[0].Text);
                    Assert.Equal(channel, NumberOf(message[byPattern ? 2 : 1]));
                    heard.Messages.Add(message[byPattern ? 3 : 2].Text);
                }
            }

            async Task<RespValue> NextAsync() => resp3 ? await subscriber.ReadPushAsync() : await subscriber.ReadAsync();
        }
        return all;
    }

    private static int NumberOf(RespValue channel) => int.Parse(channel.Text.AsSpan(1), CultureInfo.InvariantCulture);

    private sealed record Heard(int Channel, List<string> Messages);
}
