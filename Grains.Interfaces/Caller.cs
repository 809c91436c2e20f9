namespace OrleansRedis.Grains;

/// <summary>
/// Who makes a grain call: a user's name and password, as bytes. They travel with the call in Orleans's request context.
/// </summary>
public static class Caller
{
    /// <summary>The request context's key for the user's name, a byte array.</summary>
    public const string User = "orleansredis.user";

    /// <summary>The request context's key for the password, a byte array.</summary>
    public const string Password = "orleansredis.password";
}
