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
    public void Syntax_becomes_the_tree_that_redis_shows(string syntax, string tree)
    {
        IReadOnlyList<KeySpecification> keys = KeySpecification.Parse("1", CommandFlags.ReadOnly);
        Assert.Equal(tree, string.Join(' ', ArgumentSyntax.Parse(syntax, keys).Select(Show)));
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
