using OrleansRedis.Engine;
using Xunit;

namespace OrleansRedis.Tests;

public sealed class ArgumentSyntaxTests
{
    [Theory]
    [InlineData("key value", "key:key value:string")]
    [InlineData("[message]", "[message:string]")]
    [InlineData("key [key ...]", "key:key+")]
    [InlineData("[section [section ...]]", "[section:string+]")]
    [InlineData("key value [key value ...]", "data(key:key value:string)+")]
    [InlineData("[NX | XX] [GET]", "[condition<NX | XX>] [GET]")]
    [InlineData("[EX seconds | PX milliseconds | KEEPTTL]", "[expiration<EX=seconds:integer | PX=milliseconds:integer | KEEPTTL>]")]
    [InlineData("[LIMIT offset count]", "[LIMIT=limit(offset:integer count:integer)]")]
    [InlineData("[GET pattern [GET pattern ...]]", "[GET=pattern:pattern++]")]
    [InlineData("[WEIGHTS weight [weight ...]]", "[WEIGHTS=weight:integer+]")]
    [InlineData("[AGGREGATE <SUM | MIN | MAX>]", "[AGGREGATE=sum-min-max<SUM | MIN | MAX>]")]
    [InlineData("STREAMS key [key ...] id [id ...]", "STREAMS=streams(key:key+ id:string+)")]
    [InlineData("<FROMMEMBER member | FROMLONLAT longitude latitude>",
        "member-fromlonlat<FROMMEMBER=member:string | FROMLONLAT=fromlonlat(longitude:double latitude:double)>")]
    [InlineData("[protover [AUTH username password] [SETNAME clientname]]",
        "[protover-auth-clientname(protover:integer [AUTH=auth(username:string password:string)] [SETNAME=clientname:string])]")]
    [InlineData("[<MAXLEN | MINID> [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...]",
        "[maxlen-minid-equal-approximately-threshold-count(maxlen-minid<MAXLEN | MINID> [equal-approximately<= | ~>] threshold:string "
        + "[LIMIT=count:integer])] auto-id-id<* | id:string> data(field:string value:string)+")]
    [InlineData("key [GET encoding offset | [OVERFLOW <WRAP | SAT>] <SET encoding offset value | INCRBY encoding offset increment> "
        + "[GET encoding offset | [OVERFLOW <WRAP | SAT>] <SET encoding offset value | INCRBY encoding offset increment> ...]]",
        "key:key [get-wrap-sat-set-incrby<GET=get(encoding:string offset:integer) | wrap-sat-set-incrby([OVERFLOW=wrap-sat<WRAP | SAT>] "
        + "set-incrby<SET=set(encoding:string offset:integer value:string) | INCRBY=incrby(encoding:string offset:integer increment:integer)>)>+]")]
    [InlineData("key FIELDS numfields field value [field value ...]", "key:key FIELDS=fields(numfields:integer data(field:string value:string)+)")]
    [InlineData("key increment:double", "key:key increment:double")]
    [InlineData("key where=<BEFORE | AFTER> pivot", "key:key where<BEFORE | AFTER> pivot:string")]
    [InlineData("circle=[BYRADIUS radius unit=<M | FT>]", "[circle(BYRADIUS=radius:double unit<M | FT>)]")]
    [InlineData("<BYBOX width> height", "BYBOX=width:double height:double")]
    [InlineData("get-block=GET <encoding offset>", "GET=get-block(encoding:string offset:integer)")]
    [InlineData("item=<A | b:integer> [A | b ...]", "item<A | b:integer>+")]
    [InlineData("item=<A | b @6.2.0> [<A | b> ...]", "item<A | b:string>+")]
    [InlineData("key [COUNT count] @6.2.0 value", "key:key [COUNT=count:integer] value:string")]
    public void Syntax_becomes_the_tree_that_redis_shows(string syntax, string tree)
    {
        IReadOnlyList<KeySpecification> keys = KeySpecification.Parse("1", CommandFlags.ReadOnly);
        Assert.Equal(tree, string.Join(' ', ArgumentSyntax.Parse(syntax, keys).Select(Show)));
    }

    [Fact]
    public void An_argument_may_have_a_name_that_is_not_shown_and_a_date()
    {
        IReadOnlyList<ArgumentSyntax> arguments = ArgumentSyntax.Parse("[addr=ADDR ip:port] @2.8.12 [BYTE | BIT @7.0.0] old @..6.0.0", []);
        Assert.Equal(("addr", "ip:port", "ADDR", "2.8.12"), (arguments[0].Name, arguments[0].DisplayText, arguments[0].Token, arguments[0].Since));
        Assert.Equal([null, "7.0.0"], arguments[1].Arguments.Select(argument => argument.Since));
        Assert.Null(arguments[1].Since);
        Assert.Equal(("old", "old", null, "6.0.0"), (arguments[2].Name, arguments[2].DisplayText, arguments[2].Since, arguments[2].DeprecatedSince));
    }

    [Fact]
    public void Keys_say_which_specification_finds_them()
    {
        IReadOnlyList<KeySpecification> keys = KeySpecification.Parse("OW UPDATE 1;RO ACCESS #2", CommandFlags.Write);
        Assert.Equal([0, -1, 1], ArgumentSyntax.Parse("destination numkeys key [key ...]", keys).Select(argument => argument.KeySpecification));
        keys = KeySpecification.Parse("RO ACCESS 1;OW UPDATE STORE@2", CommandFlags.Write);
        Assert.Equal([0, 1], ArgumentSyntax.Parse("key [STORE destination]", keys).Select(argument => argument.KeySpecification));
    }

    private static string Show(ArgumentSyntax argument)
    {
        string inner = string.Join(argument.Type == ArgumentType.OneOf ? " | " : " ", argument.Arguments.Select(Show));
        string shown = argument.Type switch
        {
            ArgumentType.PureToken => argument.Token!,
            ArgumentType.OneOf => $"{argument.Name}<{inner}>",
            ArgumentType.Block => $"{argument.Name}({inner})",
            var type => $"{argument.Name}:{type.ToString().ToLowerInvariant()}",
        };
        if (argument.Token is not null && argument.Type != ArgumentType.PureToken) shown = $"{argument.Token}={shown}";
        if (argument.IsMultiple) shown += argument.RepeatsToken ? "++" : "+";
        return argument.IsOptional ? $"[{shown}]" : shown;
    }
}
