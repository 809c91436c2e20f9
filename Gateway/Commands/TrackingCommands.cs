using System.Text;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>The subcommands of CLIENT about client-side caching.</summary>
internal static class TrackingCommands
{
    private const CommandFlags Flags = CommandFlags.NoScript | CommandFlags.Loading | CommandFlags.Stale | CommandFlags.NeedsConnection;

    /// <summary>
    /// CLIENT TRACKING ON | OFF [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]
    /// </summary>
    [Command("CLIENT|TRACKING", -3, Flags, Category.Connection, Since = "6.0.0", Complexity = "O(1). Some options may introduce additional complexity.",
        Summary = "Controls server-assisted client-side caching for the connection.",
        Syntax = "status=<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]")]
    internal static void Tracking(ref CommandContext call)
    {
        ClientConnection me = ClientCommand.Me(call);
        if (!TryReadOptions(ref call, out TrackingModes modes, out long redirect, out List<byte[]> prefixes)) return;
        if (call[2].Is("OFF"u8))
        {
            if (me.Tracking is not null) call.Store.KeyTracking.Disable(me.Tracking);
            call.Reply.Ok();
        }
        else if (!call[2].Is("ON"u8))
        {
            call.SyntaxError();
        }
        else if (Conflict(me.Tracking, modes, prefixes) is { } conflict)
        {
            call.Reply.Error(conflict);
        }
        else if (me.IsOneOfMany && (modes & TrackingModes.Broadcast) != 0)
        {
            call.Reply.Error("ERR CLIENT TRACKING with BCAST is not possible while other silos have some of the keys"u8);
        }
        else
        {
            call.Store.KeyTracking.Enable(me.Tracking ??= new(me), modes, redirect, prefixes);
            call.Reply.Ok();
        }
    }

    /// <summary>CLIENT CACHING YES | NO</summary>
    [Command("CLIENT|CACHING", 3, Flags, Category.Connection, Since = "6.0.0", Complexity = "O(1)",
        Summary = "Instructs the server whether to track the keys in the next request.", Syntax = "mode=<YES | NO>")]
    internal static void Caching(ref CommandContext call)
    {
        if (ClientCommand.Me(call).Tracking is not { IsOn: true } tracking)
        {
            call.Reply.Error("ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled"u8);
        }
        else if (!call[2].Is("YES"u8) && !call[2].Is("NO"u8))
        {
            call.SyntaxError();
        }
        else if (call[2].Is("YES"u8) && (tracking.Modes & TrackingModes.OptIn) == 0)
        {
            call.Reply.Error("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode."u8);
        }
        else if (call[2].Is("NO"u8) && (tracking.Modes & TrackingModes.OptOut) == 0)
        {
            call.Reply.Error("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."u8);
        }
        else
        {
            tracking.HasCachingWord = true;
            call.Reply.Ok();
        }
    }

    /// <summary>CLIENT GETREDIR</summary>
    [Command("CLIENT|GETREDIR", 2, Flags, Category.Connection, Since = "6.0.0", Complexity = "O(1)",
        Summary = "Returns the client ID to which the connection's tracking notifications are redirected.")]
    internal static void Getredir(ref CommandContext call) => call.Reply.Integer(RedirectOf(ClientCommand.Me(call).Tracking));

    /// <summary>CLIENT TRACKINGINFO</summary>
    [Command("CLIENT|TRACKINGINFO", 2, Flags, Category.Connection, Since = "6.2.0", Complexity = "O(1)",
        Summary = "Returns information about server-assisted client-side caching for the connection.")]
    internal static void TrackingInfo(ref CommandContext call)
    {
        ClientTracking? tracking = ClientCommand.Me(call).Tracking;
        TrackingModes modes = tracking?.Modes ?? TrackingModes.Default;
        List<string> flags = [tracking is { IsOn: true } ? "on" : "off"];
        if ((modes & TrackingModes.Broadcast) != 0) flags.Add("bcast");
        if ((modes & TrackingModes.OptIn) != 0) flags.Add("optin");
        if ((modes & TrackingModes.OptIn) != 0 && tracking!.HasCachingWord) flags.Add("caching-yes");
        if ((modes & TrackingModes.OptOut) != 0) flags.Add("optout");
        if ((modes & TrackingModes.OptOut) != 0 && tracking!.HasCachingWord) flags.Add("caching-no");
        if ((modes & TrackingModes.NoLoop) != 0) flags.Add("noloop");
        if (tracking is { IsRedirectBroken: true }) flags.Add("broken_redirect");
        RespWriter reply = call.Reply;
        reply.Map(3);
        reply.BulkString("flags"u8);
        reply.Set(flags.Count);
        foreach (string flag in flags) reply.BulkString(flag);
        reply.BulkString("redirect"u8);
        reply.Integer(RedirectOf(tracking));
        reply.BulkString("prefixes"u8);
        IReadOnlyList<TrackedPrefix> prefixes = tracking?.Prefixes ?? [];
        reply.Array(prefixes.Count);
        foreach (TrackedPrefix prefix in prefixes) reply.BulkString(prefix.Prefix);
    }

    private static long RedirectOf(ClientTracking? tracking) => tracking is { IsOn: true } ? tracking.Redirect : -1;

    private static bool TryReadOptions(ref CommandContext call, out TrackingModes modes, out long redirect, out List<byte[]> prefixes)
    {
        modes = TrackingModes.Default;
        redirect = 0;
        prefixes = [];
        for (int i = 3; i < call.Count; i++)
        {
            ReadOnlySpan<byte> option = call[i];
            bool hasMore = i + 1 < call.Count;
            if (option.Is("REDIRECT"u8) && hasMore)
            {
                if (redirect != 0)
                {
                    call.Reply.Error("ERR A client can only redirect to a single other client"u8);
                    return false;
                }
                if (!call.TryInt64(++i, out redirect)) return false;
                if (ClientCommand.Me(call).Server.Clients.Find(redirect) is null)
                {
                    call.Reply.Error("ERR The client ID you want redirect to does not exist"u8);
                    return false;
                }
            }
            else if (option.Is("BCAST"u8))
            {
                modes |= TrackingModes.Broadcast;
            }
            else if (option.Is("OPTIN"u8))
            {
                modes |= TrackingModes.OptIn;
            }
            else if (option.Is("OPTOUT"u8))
            {
                modes |= TrackingModes.OptOut;
            }
            else if (option.Is("NOLOOP"u8))
            {
                modes |= TrackingModes.NoLoop;
            }
            else if (option.Is("PREFIX"u8) && hasMore)
            {
                prefixes.Add(call[++i].ToArray());
            }
            else
            {
                call.SyntaxError();
                return false;
            }
        }
        return true;
    }

    /// <summary>Why these options do not go together, or not with those in force; null if they do.</summary>
    private static string? Conflict(ClientTracking? tracking, TrackingModes modes, List<byte[]> prefixes)
    {
        const TrackingModes Opt = TrackingModes.OptIn | TrackingModes.OptOut;
        bool broadcasts = (modes & TrackingModes.Broadcast) != 0;
        TrackingModes former = tracking is { IsOn: true } ? tracking.Modes : TrackingModes.Default;
        if (!broadcasts && prefixes.Count > 0) return "ERR PREFIX option requires BCAST mode to be enabled";
        if (tracking is { IsOn: true } && ((former ^ modes) & TrackingModes.Broadcast) != 0)
            return "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode.";
        if (broadcasts && (modes & Opt) != 0) return "ERR OPTIN and OPTOUT are not compatible with BCAST";
        if ((modes & Opt) == Opt) return "ERR You can't specify both OPTIN mode and OPTOUT mode";
        if (((former | modes) & Opt) == Opt)
            return "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode.";
        return broadcasts ? Overlap(tracking, prefixes) : null;
    }

    /// <summary>Why these prefixes may not all be tracked by one client: a key may have only one of them.</summary>
    private static string? Overlap(ClientTracking? tracking, List<byte[]> prefixes)
    {
        for (int i = 0; i < prefixes.Count; i++)
        {
            foreach (TrackedPrefix known in tracking?.Prefixes ?? [])
            {
                if (Overlaps(prefixes[i], known.Prefix)) return Overlap(prefixes[i], "an existing", known.Prefix);
            }
            for (int j = i + 1; j < prefixes.Count; j++)
            {
                if (Overlaps(prefixes[i], prefixes[j])) return Overlap(prefixes[i], "another provided", prefixes[j]);
            }
        }
        return null;
    }

    private static bool Overlaps(ReadOnlySpan<byte> one, ReadOnlySpan<byte> other) => one.StartsWith(other) || other.StartsWith(one);

    private static string Overlap(byte[] prefix, string which, byte[] other) =>
        $"ERR Prefix '{Encoding.Latin1.GetString(prefix)}' overlaps with {which} prefix '{Encoding.Latin1.GetString(other)}'. "
            + "Prefixes for a single client must not overlap.";
}
