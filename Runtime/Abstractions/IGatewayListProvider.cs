namespace Orleans.Messaging;

/// <summary>Tells clients where gateways are.</summary>
public interface IGatewayListProvider
{
    /// <summary>How old a list may be.</summary>
    TimeSpan MaxStaleness { get; }

    /// <summary>Whether lists change.</summary>
    [Obsolete("This attribute is no longer used and all providers are considered updatable")]
    bool IsUpdatable { get; }

    /// <summary>Prepares.</summary>
    Task InitializeGatewayListProvider();

    /// <summary>The gateways, as <c>gwy.tcp://ip:port/generation</c>.</summary>
    Task<IList<Uri>> GetGateways();
}
