using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>A command that does to each of its keys the same, on its own, so that every silo can do it to those it has.</summary>
/// <param name="Step">How many arguments belong to a key, itself included.</param>
/// <param name="IsCounting">Whether the replies are numbers that add up; otherwise there is an element for each key, or
/// just OK.</param>
internal sealed record PartedCommand(int Step, bool IsCounting)
{
    private static readonly PartedCommand s_counting = new(1, IsCounting: true), s_getting = new(1, IsCounting: false), s_setting = new(2, IsCounting: false);

    /// <summary>How a command is parted; null if it cannot be.</summary>
    public static PartedCommand? Of(CommandInfo command) => command.Name switch
    {
        "del" or "unlink" or "exists" or "touch" => s_counting,
        "mget" => s_getting,
        "mset" => s_setting,
        _ => null,
    };
}
