using System.Text;
using FsCheck;
using FsCheck.Fluent;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Types;

public class DoublesTests
{
    [Theory]
    // The output of redis-server 7.4's d2string.
    [InlineData(0.0, "0")]
    [InlineData(-0.0, "-0")]
    [InlineData(3.0, "3")]
    [InlineData(0.1, "0.1")]
    [InlineData(-1.5, "-1.5")]
    [InlineData(1e15, "1000000000000000")]
    [InlineData(1e18, "1000000000000000000")]
    [InlineData(4611686018427387904.0, "4611686018427387904")]
    [InlineData(1e19, "1e+19")]
    [InlineData(12345678901234567e6, "12345678901234568000000")]
    [InlineData(1e22, "1e+22")]
    [InlineData(1.7976931348623157e308, "1.7976931348623157e+308")]
    [InlineData(5e-324, "5e-324")]
    [InlineData(0.000001, "0.000001")]
    [InlineData(0.0000001, "1e-7")]
    [InlineData(1.5e-7, "1.5e-7")]
    [InlineData(0.00012345678, "1.2345678e-4")]
    [InlineData(0.0012345678, "0.0012345678")]
    [InlineData(123.456789012345, "123.456789012345")]
    [InlineData(123456.789012345, "1.23456789012345e+5")]
    [InlineData(123456.789, "123456.789")]
    [InlineData(double.PositiveInfinity, "inf")]
    [InlineData(double.NegativeInfinity, "-inf")]
    [InlineData(double.NaN, "nan")]
    public void Doubles_are_spelled_as_redis_does(double value, string expected) => Assert.Equal(expected, Format(value));

    [Fact]
    public void What_is_written_reads_back_as_the_same_double() =>
        Prop.ForAll(ArbMap.Default.ArbFor<double>().Filter(value => !double.IsNaN(value)), value =>
            Numbers.TryParseDouble(Encoding.ASCII.GetBytes(Format(value)), out double read)
                && BitConverter.DoubleToInt64Bits(read) == BitConverter.DoubleToInt64Bits(value)).Check();

    [Theory]
    [InlineData("1", 1.0)]
    [InlineData("+1.5", 1.5)]
    [InlineData("-.5", -0.5)]
    [InlineData("5.", 5.0)]
    [InlineData("1e3", 1000.0)]
    [InlineData("1E-2", 0.01)]
    [InlineData("00012", 12.0)]
    [InlineData("inf", double.PositiveInfinity)]
    [InlineData("-Infinity", double.NegativeInfinity)]
    [InlineData("0x10", 16.0)]
    [InlineData("-0x1.8p1", -3.0)]
    [InlineData("0X.8", 0.5)]
    [InlineData("123456789012345678901234567890", 123456789012345678901234567890.0)]
    [InlineData("4.9e-324", 4.9e-324)]
    public void Arguments_are_read_as_strtod_does(string text, double expected)
    {
        Assert.True(Numbers.TryParseDouble(Encoding.ASCII.GetBytes(text), out double value));
        Assert.Equal(expected, value);
    }

    [Theory]
    [InlineData("")]
    [InlineData(" 1")]
    [InlineData("1 ")]
    [InlineData("nan")]
    [InlineData("-nan")]
    [InlineData("1e")]
    [InlineData("e5")]
    [InlineData(".")]
    [InlineData("-")]
    [InlineData("1.2.3")]
    [InlineData("1_000")]
    [InlineData("1,5")]
    [InlineData("0x")]
    [InlineData("0xg")]
    [InlineData("0x1p")]
    [InlineData("1e400")]
    [InlineData("-1e400")]
    [InlineData("1e-400")]
    [InlineData("0x1p5000")]
    [InlineData("1\0")]
    [InlineData("infinit")]
    [InlineData("(1)")]
    public void What_is_no_double_is_refused(string text) => Assert.False(Numbers.TryParseDouble(Encoding.ASCII.GetBytes(text), out _));

    [Theory]
    [InlineData("", 0.0)]
    [InlineData(" \t1", 1.0)]
    [InlineData("1\0 whatever", 1.0)]
    [InlineData("1e400", double.PositiveInfinity)]
    [InlineData("1e-400", 0.0)]
    public void Borders_of_ranges_are_read_with_more_patience(string text, double expected)
    {
        Assert.True(Numbers.TryParseDoubleLeniently(Encoding.ASCII.GetBytes(text), out double value));
        Assert.Equal(expected, value);
    }

    [Theory]
    [InlineData(" ")]
    [InlineData("nan")]
    [InlineData("1x")]
    [InlineData("1 ")]
    public void But_not_with_any(string text) => Assert.False(Numbers.TryParseDoubleLeniently(Encoding.ASCII.GetBytes(text), out _));

    private static string Format(double value)
    {
        Span<byte> text = stackalloc byte[Numbers.LongestDouble];
        return Encoding.ASCII.GetString(text[..Numbers.FormatDouble(value, text)]);
    }
}
