using System.Text;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Gateway;

/// <summary>Requests that are not quite what the protocol says, answered as redis-server answers them.</summary>
public sealed class ProtocolTests : GatewayTest
{
    private const int LongestLine = 64 * 1024;

    public static TheoryData<string, string> Malformed
    {
        get
        {
            var data = new TheoryData<string, string>();
            foreach (string number in (string[])["01", "00", "-0", "+1", " 1", "1 ", "", "0x1", "99999999999999999999", "2147483648"])
                data.Add($"*{number}\r\n$4\r\nPING\r\n", "invalid multibulk length");
            foreach (string number in (string[])["04", "00", "-0", "+4", " 4", "4 ", "", "-1", "99999999999999999999", "2147483648"])
                data.Add($"*1\r\n${number}\r\nPING\r\n", "invalid bulk length");
            data.Add(new string('a', LongestLine + 1) + "\r\n", "too big inline request");
            data.Add("PING\0\r\n" + new string('a', LongestLine), "too big inline request");
            data.Add("*\0" + new string('1', LongestLine) + "\r\n", "too big mbulk count string");
            data.Add("PING 'a'b\r\n", "unbalanced quotes in request");
            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Malformed))]
    public async Task A_malformed_request_ends_the_connection_however_it_arrives(string request, string error)
    {
        string expected = $"+PONG\r\n-ERR Protocol error: {error}\r\n";
        await Redis.SendRawAsync("PING\r\n" + request);
        Assert.Equal(expected, Encoding.Latin1.GetString(await Redis.ReadToEndAsync()));
        var random = TestSeed.Random();
        await using RespConnection other = await Server.ConnectAsync();
        await other.SendRawAsync("PING\r\n");
        for (int at = 0, length; at < request.Length; at += length)
        {
            length = Math.Min(request.Length - at, request.Length < 100 ? random.Next(1, 4) : random.Next(1, 40_000));
            try
            {
                await other.SendRawAsync(request.Substring(at, length));
            }
            catch (RespException) when (at > 0)
            {
                break; // refused before its end
            }
            await Task.Yield();
        }
        Assert.Equal(expected, Encoding.Latin1.GetString(await other.ReadToEndAsync()));
    }

    [Theory]
    [InlineData("ECHO a\vb\fc\r\n", "\"a\\vb\\fc\"")]
    [InlineData("\v\f ECHO\t\vx\r\n", "\"x\"")]
    [InlineData("ECHO \"x\"\v\f\r\n", "\"x\"")]
    [InlineData("ECHO 'x'\r\r\n", "\"x\"")]
    public async Task Vertical_tabs_and_form_feeds_separate_words_but_do_not_end_them(string line, string reply)
    {
        await Redis.SendRawAsync(line);
        string shown = (await Redis.ReadAsync()).ToString();
        Assert.Equal(reply.Replace("\\v", "\\x0b", StringComparison.Ordinal).Replace("\\f", "\\x0c", StringComparison.Ordinal), shown);
    }

    [Fact]
    public async Task The_longest_line_is_accepted()
    {
        string word = new('a', LongestLine - 6);
        await Redis.SendRawAsync($"ECHO {word}\r\n");
        Assert.Equal(word, (await Redis.ReadAsync()).Text);
    }

    [Fact]
    public async Task Behind_a_nul_no_line_ends()
    {
        await Redis.SendRawAsync("PING\0\r\nPING\r\n");
        Assert.True(await Redis.IsSilentAsync(TimeSpan.FromMilliseconds(50)));
    }
}
