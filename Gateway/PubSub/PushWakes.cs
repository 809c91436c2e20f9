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

    /// <summary>From here to <see cref="LetGo"/> nobody is woken on this thread.</summary>
    public static void Hold() => t_isHeld = true;

    /// <summary>Wakes those who have been pushed something since <see cref="Hold"/>.</summary>
    public static void LetGo()
    {
        t_isHeld = false;
        if (t_clients is { Count: > 0 } clients) WakeAll(clients);
    }

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
