using System.Text;
using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests;

public class GlobPatternTests
{
    [Theory]
    [InlineData("*", "a", true)]
    [InlineData("*", "", false)] // KEYS and SCAN handle "*", which matches everything, before they get here
    [InlineData("", "", true)]
    [InlineData("", "a", false)]
    [InlineData("a*", "a", true)]
    [InlineData("a**", "a", true)]
    [InlineData("*a", "bca", true)]
    [InlineData("*a*", "bcab", true)]
    [InlineData("a?c", "abc", true)]
    [InlineData("a?c", "ac", false)]
    [InlineData("h[ae]llo", "hello", true)]
    [InlineData("h[ae]llo", "hillo", false)]
    [InlineData("h[^e]llo", "hello", false)]
    [InlineData("h[^e]llo", "hallo", true)]
    [InlineData("h[a-b]llo", "hbllo", true)]
    [InlineData("h[b-a]llo", "hbllo", true)]
    [InlineData("h[a-b]llo", "hcllo", false)]
    [InlineData("[", "[", false)]
    [InlineData("[a", "a", true)]
    [InlineData("[^", "a", true)]
    [InlineData("[]", "]", false)]
    [InlineData("[^]x", "ax", true)]
    [InlineData("[a-]", "-", false)] // the bracket ends the range, not the class
    [InlineData("[\\]]", "]", true)]
    [InlineData("[\\", "\\", true)]
    [InlineData("\\*", "*", true)]
    [InlineData("\\*", "a", false)]
    [InlineData("\\", "\\", true)]
    [InlineData("a\\", "a\\", true)]
    [InlineData("[\xe0-\xff]", "\xe9", true)]
    [InlineData("[a-\xff]", "\xfe", false)] // as signed bytes the range is -1..97
    [InlineData("[a-\xff]", "A", true)]
    [InlineData("A", "a", false)]
    public void Matches_as_Redis_does(string pattern, string text, bool expected) =>
        Assert.Equal(expected, GlobPattern.IsMatch(Encoding.Latin1.GetBytes(pattern), Encoding.Latin1.GetBytes(text)));

    [Theory]
    [InlineData("HELLO", "hello")]
    [InlineData("h[A-F]llo", "hEllo")]
    [InlineData("[^a]", "B")]
    public void Ignores_case_if_told_to(string pattern, string text) =>
        Assert.True(GlobPattern.IsMatch(Encoding.Latin1.GetBytes(pattern), Encoding.Latin1.GetBytes(text), ignoreCase: true));

    [Fact]
    public void Many_stars_take_neither_exponential_time_nor_the_stack()
    {
        byte[] text = Encoding.ASCII.GetBytes(new string('a', 50_000));
        Assert.False(GlobPattern.IsMatch(Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("a*", 50)) + "b"), text.AsSpan(0, 100)));
        Assert.False(GlobPattern.IsMatch(Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("*?", 50_000))), text));
        Assert.True(GlobPattern.IsMatch(Encoding.ASCII.GetBytes(string.Concat(Enumerable.Repeat("*?", 1000))), text));
    }

    [Theory]
    [InlineData("foo", true)]
    [InlineData("{foo}*", true)]
    [InlineData("{foo}[ab]", true)]
    [InlineData("a{foo}?", true)]
    [InlineData("{}*", false)]
    [InlineData("foo*", false)]
    [InlineData("*{foo}", false)]
    [InlineData("{fo?}", false)]
    [InlineData("{foo*}", false)]
    public void A_hash_tag_says_in_which_slot_all_matches_are(string pattern, bool known) =>
        Assert.Equal(known ? KeySlot.Of("foo"u8) : -1, GlobPattern.SlotOf(Encoding.ASCII.GetBytes(pattern)));
}
