namespace OrleansRedis.Gateway;

/// <summary>
/// Whom this thread has pushed something to and not woken yet: while it runs the requests that a client has sent
/// together, those who get pushes from them are woken once, at the end.
/// </summary>
internal static class PushWakes
{
    [ThreadStatic]
    private static bool t_isHeld;

    [ThreadStatic]
    private static List<ClientConnection>? t_clients;

    [ThreadStatic]
    private static bool t_gathersMessages;

    [ThreadStatic]
    private static long t_pushes;

    /// <summary>How many pushes there were on this thread.</summary>
    public static long Pushes => t_pushes;

    /// <summary>Whether messages published on this thread may wait for <see cref="LetGo"/>.</summary>
    public static bool GathersMessages => t_gathersMessages;

    /// <summary>From here to <see cref="LetGo"/> nobody is woken on this thread.</summary>
    /// <param name="gathersMessages">Whether messages may wait as well; not those of a client that may be among their
    /// subscribers, and gets them right after its reply.</param>
    public static void Hold(bool gathersMessages)
    {
        t_isHeld = true;
        t_gathersMessages = gathersMessages;
    }

    /// <summary>Delivers the messages gathered since <see cref="Hold"/>, and wakes those who have been pushed something.</summary>
    public static void LetGo()
    {
        StopGathering();
        t_isHeld = false;
        if (t_clients is { Count: > 0 } clients) WakeAll(clients);
    }

    /// <summary>Delivers the messages gathered since <see cref="Hold"/>. Those that follow do not wait.</summary>
    public static void StopGathering()
    {
        if (!t_gathersMessages) return;
        MessageBatch.Deliver();
        t_gathersMessages = false;
    }

    /// <summary>A client is pushed something.</summary>
    public static void Count() => t_pushes++;

    /// <summary>Wakes a client, now or later.</summary>
    public static void Wake(ClientConnection client)
    {
        if (t_isHeld) (t_clients ??= []).Add(client);
        else client.WakeForPushes();
    }

    private static void WakeAll(List<ClientConnection> clients)
    {
        foreach (ClientConnection client in clients) client.WakeForPushes();
        clients.Clear();
    }
}
