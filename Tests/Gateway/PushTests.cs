using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Gateway;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>What pushes become in a client's protocol.</summary>
public sealed class PushTests
{
    private static readonly TrackedPrefix s_a = new("a"u8.ToArray()), s_b = new("b"u8.ToArray());

    [Fact]
    public void Keys_of_one_prefix_come_in_one_message_and_each_once() =>
        Assert.Equal(
            ">2 $10 invalidate *2 $2 a1 $2 a2 >2 $10 invalidate *1 $1 b >2 $10 invalidate *1 $2 a1",
            Write(resp3: true, false, Prefixed("a1", s_a), Prefixed("b", s_b), Prefixed("a2", s_a), Prefixed("a1", s_a), Key("a1")));

    [Fact]
    public void In_RESP2_only_redirected_ones_are_sent_and_only_to_subscribers()
    {
        Push[] pushes = [Key("k"), Key("r") with { IsRedirected = true }, new(PushKind.Resp3, ">0\r\n"u8.ToArray()), Prefixed("a", s_a)];
        Assert.Equal("*3 $7 message $20 __redis__:invalidate *1 $1 r", Write(resp3: false, isInPubSub: true, pushes));
        Assert.Equal("", Write(resp3: false, isInPubSub: false, pushes));
    }

    [Fact]
    public void A_message_becomes_a_push_in_RESP3()
    {
        var message = new Push(PushKind.Message, MessageFrame.OfPattern("*"u8, "channel"u8, new byte[11]));
        string rest = "4 $8 pmessage $1 * $7 channel $11 " + new string('\0', 11);
        Assert.Equal("*" + rest, Write(resp3: false, isInPubSub: true, message));
        Assert.Equal(">" + rest, Write(resp3: true, isInPubSub: false, message));
    }

    [Fact]
    public void Messages_in_a_row_become_a_push_each()
    {
        byte[] frames =
        [
            .. MessageFrame.Of("message"u8, "c"u8, "*3\r\n"u8),
            .. MessageFrame.OfPattern("*"u8, "c"u8, default),
            .. MessageFrame.Of("message"u8, "c"u8, default),
            .. "*3\r\n$12\r\nsunsubscribe\r\n$-1\r\n:10\r\n"u8,
            .. MessageFrame.Of("message"u8, "c"u8, "\n"u8),
        ];
        Assert.Equal(
            ">3 $7 message $1 c $4 *3  >4 $8 pmessage $1 * $1 c $0  >3 $7 message $1 c $0  >3 $12 sunsubscribe $-1 :10 >3 $7 message $1 c $1 \n",
            Write(resp3: true, isInPubSub: false, new Push(PushKind.Message, frames)));
    }

    private static Push Key(string key) => new(PushKind.Key, Encoding.ASCII.GetBytes(key));

    private static Push Prefixed(string key, TrackedPrefix prefix) => new(PushKind.KeyWithPrefix, Encoding.ASCII.GetBytes(key), prefix);

    private static string Write(bool resp3, bool isInPubSub, params Push[] pushes)
    {
        var output = new RespWriter { Resp3 = resp3 };
        Push.WriteAll(output, isInPubSub, [.. pushes]);
        return Encoding.ASCII.GetString(output.Written).Replace("\r\n", " ", StringComparison.Ordinal).TrimEnd(' ');
    }
}
